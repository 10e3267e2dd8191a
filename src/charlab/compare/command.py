"""`charlab compare`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import click

from charlab.arguments import ROOT, RUNS, RUNS_FOLDER
from charlab.errors import UsageError

if TYPE_CHECKING:
    from charlab.compare.comparison import Comparison


@final
class Confidence(click.ParamType[float]):
    """A part of 1 as 0.95, or 95%."""

    name = "part"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        text = str(value).strip()
        try:
            number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{value!r} is not a number.", param, ctx)
        if not 0.5 <= number <= 0.9999:
            self.fail(f"{value} is not in the range 0.5 to 0.9999.", param, ctx)
        return number


@click.command("compare", short_help="Which cell is better: scores over seeds, and a page.")
@RUNS
@click.option("--force", is_flag=True, help="Rank all together; a remark says what is not alike.")
@click.option(
    "--confidence",
    type=Confidence(),
    default=0.95,
    show_default=True,
    help="Level of the intervals, as 0.95 or 95%.",
)
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write a page with curves and samples.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, a row a variant.")
@ROOT
def compare_command(
    words: Sequence[str],
    force: bool,
    confidence: float,
    html: Path | None,
    as_json: bool,
    as_csv: bool,
    root: Path,
) -> int:
    """Which variant is better, over seeds: scores with intervals, and each pair in words.

    RUNS are run directories, folders, globs or groups; without any, all that there are. Runs that
    differ in the seed alone are one variant. Ranked together is what has the same data, split,
    vocabulary and budget.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv do not go together")
    from charlab.compare.compare import compare
    from charlab.compare.export import to_csv, to_json
    from charlab.compare.table import show
    from charlab.reading.find import read_runs
    from charlab.terminal import console

    comparison = compare(read_runs(words, root), force=force, confidence=confidence)
    if as_json:
        click.echo(to_json(comparison))
    elif as_csv:
        click.echo(to_csv(comparison), nl=False)
    else:
        options = (["--force"] if force else []) + (
            [] if root == RUNS_FOLDER else ["--root", str(root)]
        )
        page = ["compare", *words, *options, "--html", "report.html"]
        show(console(), comparison, page if html is None else ())
    if html is not None and comparison.sets:
        from charlab.compare.page.page import write_page

        write_page(comparison, html)
        click.echo(f"page: {html}", err=as_json or as_csv)
    _check(comparison)
    return 0


def _check(comparison: "Comparison") -> None:
    """Raise UsageError where there is nothing to rank."""
    if not comparison.sets:
        left_out = [one.why for one in comparison.left_out]
        unreadable = [one.why for one in comparison.unreadable]
        raise UsageError(
            "there is nothing to compare",
            expected="runs that have finished",
            got="; ".join(dict.fromkeys([*left_out, *unreadable])) or "no run directory",
            hint="charlab runs shows how far they are",
        )
    if len(comparison.sets) > 1 and all(len(one.variants) == 1 for one in comparison.sets):
        raise UsageError(
            "none of these can be ranked against another",
            expected="variants with the same data, split, vocabulary and budget",
            got="; ".join(dict.fromkeys(comparison.not_ranked)),
            hint="--force ranks them all the same, and says what is not alike",
        )
