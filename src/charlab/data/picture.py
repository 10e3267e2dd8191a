"""The look of the pictures of data: axes without clutter, written as a PNG."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer

COLOURS = ("#4c78a8", "#e07b39")
GREY = "#555555"


@contextmanager
def drawing(path: Path, title: str, remark: str) -> Iterator["Axes"]:
    """Axes to draw into, written to `path` when the block ends. OSError where that fails."""
    # matplotlib takes most of a second to import, and only a picture needs it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    # parse_math: a "$" in the name of a file is no formula.
    axes.set_title(title, loc="left", parse_math=False)
    axes.set_title(remark, loc="right", fontsize=10, color=GREY)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=20, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.margins(x=0.01, y=0.07)
    yield axes
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")


def label_bars(axes: "Axes", bars: "BarContainer", form: str) -> None:
    """Writes the height of each bar above it; form as "{:,.0f}"."""
    background = {"color": "white", "pad": 0.5}  # hides the grid line behind a label
    axes.bar_label(bars, fmt=form, fontsize=7, color=GREY, bbox=background, padding=2)
