"""`charlab sweep`: a sweep file of W&B's on this machine, without a server.

What it needs is imported when it is called: no torch, and Optuna for searches alone.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charlab import terminal
from charlab.arguments import OVERRIDES

if TYPE_CHECKING:
    from rich.console import Console

    from charlab.sweeps.search.plan import Grid, Search


@click.command("sweep", short_help="Run a sweep file without a server.")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@OVERRIDES
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Jobs side by side.",
)
@click.option(
    "--gpus-per-job",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="GPUs of each job, where there are any.",
)
@click.option("--dry-run", is_flag=True, help="Show the jobs, or what would be searched, and stop.")
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    help="How many to run, in all sweeps of this file together; with --per for each value.",
    show_default="run_cap",
)
@click.option(
    "--per",
    metavar="OPTION",
    help="Tune each value of this parameter for itself, with the same number of trials.",
)
@click.option(
    "--storage",
    metavar="URL",
    help="A database that keeps the study, for machines that share it.",
    show_default="a file beside the runs",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of a search; another seed draws other trials.",
)
@click.option("--retry-failed", is_flag=True, help="Try again what failed or was pruned.")
@click.option("--report", is_flag=True, help="Show what came of it up to now, and start nothing.")
def sweep_command(
    file: Path,
    overrides: Sequence[str],
    workers: int,
    gpus_per_job: int,
    dry_run: bool,
    trials: int | None,
    per: str | None,
    storage: str | None,
    seed: int,
    retry_failed: bool,
    report: bool,
) -> int:
    """Run a sweep file of W&B's format, such as sweeps/cells_names.yaml, without a server.

    Each job is a train.py of its own. What has finished is not run again, and what was cut off goes
    on; so the same command, started again, does what is left. OPTION=VALUE is for every job, and
    takes the place of a parameter of that name.
    """
    from charlab.sweeps.definition.files import read_sweep_file
    from charlab.sweeps.pool import LocalOptions, run_sweep
    from charlab.sweeps.search.plan import Search, plan
    from charlab.sweeps.search.tuning import show_tuning

    console = terminal.console()
    sweep = plan(
        read_sweep_file(file),
        overrides,
        per=per,
        num_trials=trials,
        storage_url=storage,
        seed=seed,
    )
    if dry_run:
        _show_plan(console, sweep)
        return 0
    code = 0
    if not report:
        options = LocalOptions(
            workers=workers, gpus_per_job=gpus_per_job, retry_failed=retry_failed
        )
        command = [sys.executable, str(sweep.file.program)]
        with sweep.source(retry_failed=retry_failed) as source:
            code = run_sweep(source, command, options, console).exit_code
    if report or per is not None or isinstance(sweep, Search):
        parts = sweep.tried()
        show_tuning(console, parts, sweep.file.metric)
        has_failed = any(trial.ending == "failed" for trials in parts.values() for trial in trials)
        code = code or int(has_failed and not report)
    if code == 0 and isinstance(sweep, Search) and (num_open := sweep.num_open()):
        console.print(
            f"{num_open} more are held by other processes; where these have died, this command "
            "takes them over (after two minutes, if that was on another machine)",
            soft_wrap=True,
        )
    return code


def _show_plan(console: "Console", sweep: "Grid | Search") -> None:
    from charlab.sweeps.report import list_jobs
    from charlab.sweeps.search.plan import Grid

    if isinstance(sweep, Grid):
        list_jobs(console, sweep.jobs)
        return
    first = sweep.parts[0]
    for name, parameter in first.space.parameters.items():
        console.print(f"{name}: {parameter}", markup=False, soft_wrap=True)
    console.print(f"\nfirst trials of {first.name}, before there are scores to learn from")
    list_jobs(console, sweep.examples())
    names = ", ".join(part.name for part in sweep.parts)
    console.print(
        f"{sweep.file.method} search: {first.num_trials} trials for each of {names}",
        markup=False,
        soft_wrap=True,
    )
