"""`charlab runs`."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from charlab.arguments import ROOT, RUNS
from charlab.found import STATES, State
from charlab.terminal import console


@click.command("runs", short_help="List runs, and follow those that run.")
@RUNS
@click.option(
    "--state", "states", type=click.Choice(STATES), multiple=True, help="Only these; repeatable."
)
@click.option("--last", type=click.IntRange(min=1), help="Only the newest so many.")
@click.option("--watch", "watches", is_flag=True, help="Follow them as they run, until Ctrl-C.")
@ROOT
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def runs_command(
    words: Sequence[str],
    states: Sequence[State],
    last: int | None,
    watches: bool,
    root: Path,
    as_json: bool,
) -> int:
    """List run directories: state, step, scores, age; the newest is the last.

    RUNS are folders, globs or groups; without any, all that there are.
    """
    from charlab.listing.entries import Listing
    from charlab.listing.view import narrowed, show, watch

    if watches and as_json:
        raise click.UsageError("--watch and --json do not go together")
    listing = Listing(words, root)
    if watches:
        try:
            watch(console(), listing, states, last)
        except KeyboardInterrupt:
            return 0
    listed = narrowed(listing.look(), states, last)
    if as_json:
        for entry in listed.entries:
            click.echo(json.dumps(entry.to_plain(), ensure_ascii=False))
        for path, why in listed.unreadable:
            click.echo(f"not read: {path}: {why}", err=True)
    else:
        show(console(), listed)
    return 0
