"""Arguments and options that several commands of `charlab` have."""

from pathlib import Path

import click

RUN = click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
RUNS = click.argument("words", metavar="[RUNS]...", nargs=-1)
OVERRIDES = click.argument("overrides", metavar="[OPTION=VALUE]...", nargs=-1)
RUNS_FOLDER = Path("runs")
ROOT = click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=RUNS_FOLDER,
    show_default=True,
    help="Folder of the groups, as paths.runs.",
)
