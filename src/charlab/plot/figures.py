"""All pictures of a run, and where they go."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from charlab import picture
from charlab.errors import UsageError
from charlab.plot import X
from charlab.plot.diagnostics import draw_diagnostics
from charlab.plot.learning_curve import draw_learning_curve
from charlab.plot.lengths import draw_lengths
from charlab.plot.missing import Missing
from charlab.plot.samples import draw_samples
from charlab.reading.facts import RunFacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE = "{}.png"
# what entries of another kind than those that charlab writes come to
DAMAGED = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def figures(run: RunFacts, x: X) -> tuple[dict[str, "Figure"], dict[str, str]]:
    """(figures, why there is no such one), by name."""
    known: dict[str, Callable[[], Figure]] = {
        "learning_curve": lambda: draw_learning_curve(run, x),
        "samples": lambda: draw_samples(run),
        "lengths": lambda: draw_lengths(run),
        "diagnostics": lambda: draw_diagnostics(run),
    }
    drawn, missing = {}, {}
    for name, one in known.items():
        try:
            drawn[name] = one()
        except Missing as error:
            missing[name] = error.why
        except DAMAGED as error:
            missing[name] = f"what is recorded of it is damaged: {type(error).__name__}: {error}"
    return drawn, missing


def write(drawn: Mapping[str, "Figure"], folder: Path) -> dict[str, Path]:
    """Raises UsageError where that fails."""
    files = {name: folder / FILE.format(name) for name in drawn}
    try:
        for name, figure in drawn.items():
            picture.save(figure, files[name])
    except OSError as error:
        raise UsageError(
            f"the pictures cannot be written to {folder}",
            expected="a folder that can be written",
            got=error.strerror or str(error),
            hint="charlab plot RUN -o FOLDER",
        ) from error
    return files
