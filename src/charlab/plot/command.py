"""`charlab plot RUN`."""

from pathlib import Path

import click

from charlab.arguments import RUN
from charlab.plot import XS, X


@click.command("plot", short_help="Pictures of a run.")
@RUN
@click.option(
    "-o",
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the pictures go.  [default: RUN/plots]",
)
@click.option(
    "--x",
    type=click.Choice(XS),
    default="steps",
    show_default=True,
    help="What the learning curve is drawn against.",
)
def plot_command(run: Path, folder: Path | None, x: X) -> None:
    """Pictures of a run (PNG): learning curve, samples, lengths of names, diagnostics.

    A run that has not finished is drawn as far as it is.
    """
    from charlab.errors import UsageError
    from charlab.plot.figures import FILE, figures, write
    from charlab.plot.run import run_to_draw

    drawn, missing = figures(run_to_draw(run), x)
    if not drawn:
        raise UsageError(
            f"there is nothing to draw of {run}",
            expected="metrics.jsonl, samples.jsonl or the results of a finished run",
            got="; ".join(missing.values()),
        )
    for path in write(drawn, folder or run / "plots").values():
        click.echo(path)
    for name, why in missing.items():
        click.echo(f"no {FILE.format(name)}: {why}", err=True)
