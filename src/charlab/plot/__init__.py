"""Pictures of a run, from its run directory alone: no data, no checkpoint, no torch."""

from pathlib import Path
from typing import Literal, get_args

# what a learning curve is drawn against
X = Literal["steps", "chars", "seconds"]
XS: tuple[X, ...] = get_args(X)


def draw(run: Path, folder: Path, x: X = "steps") -> dict[str, Path]:
    """Write NAME.png of all that the run has by now into a folder; the files by name.

    The names: learning_curve, samples, lengths, diagnostics. Raises UsageError where the path is no
    run directory, or the folder cannot be written.
    """
    from charlab.plot.figures import figures, write
    from charlab.plot.run import run_to_draw

    drawn, _ = figures(run_to_draw(run), x)
    return write(drawn, folder)
