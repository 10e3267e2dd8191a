"""The look of all pictures: axes without clutter, written as a PNG.

matplotlib takes most of a second to import, and only a picture needs it: it is imported in here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlab.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer
    from matplotlib.figure import Figure

COLOURS = ("#4c78a8", "#e07b39")
GREY, LIGHT_GREY = "#555555", "#e4e4e4"
WIDTH_IN, HEIGHT_IN, DPI = 8.0, 4.5, 150
MOST_LETTERS = 72  # above axes of that width


def new_figure(width_in: float = WIDTH_IN, height_in: float = HEIGHT_IN) -> "Figure":
    """An empty figure, which places its axes so that labels do not meet."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), dpi=DPI, layout="constrained")


def style(axes: "Axes", title: str, remark: str = "") -> None:
    """Give axes the look, a title, and a remark at its right, below it where both are long."""
    if len(title) + len(remark) > MOST_LETTERS and remark:
        title += "\n"
    # parse_math: a "$" in the name of a file is no formula.
    axes.set_title(title, loc="left", parse_math=False)
    axes.set_title(remark, loc="right", fontsize=10, color=GREY, parse_math=False)
    axes.grid(axis="y", color=LIGHT_GREY, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.margins(x=0.01, y=0.07)


def save(figure: "Figure", path: Path) -> None:
    """Write it as a PNG. OSError where that fails."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path.parent.mkdir(parents=True, exist_ok=True)
    # figure.savefig would draw it twice
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(path, pil_kwargs={"compress_level": 3})


@contextmanager
def drawing(path: Path, title: str, remark: str) -> Iterator["Axes"]:
    """Axes to draw counts into, written to `path` when the block ends.

    Raises UsageError where it cannot be written.
    """
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    figure = new_figure()
    axes = figure.add_subplot()
    style(axes, title, remark)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=20, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    yield axes
    try:
        save(figure, path)
    except OSError as error:
        raise UsageError(
            f"the picture cannot be written to {path}",
            expected="a folder that can be written",
            got=error.strerror or str(error),
            hint="-o FILE.png puts it elsewhere",
        ) from error


def label_bars(axes: "Axes", bars: "BarContainer", form: str) -> None:
    """Writes the height of each bar above it; form as "{:,.0f}"."""
    background = {"color": "white", "pad": 0.5}  # hides the grid line behind a label
    axes.bar_label(bars, fmt=form, fontsize=7, color=GREY, bbox=background, padding=2)
