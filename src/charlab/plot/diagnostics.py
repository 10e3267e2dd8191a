"""How a model used its memory while it trained, from diagnostics.jsonl."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from charlab.picture import COLOURS, GREY, new_figure, style
from charlab.plot.missing import Missing
from charlab.reading.facts import RunFacts
from charlab.reading.row_files import Row, diagnostics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILE = "diagnostics.jsonl"
MOST_STEPS = 5
# the largest number over the smallest, from which on powers of ten are marks enough
WIDE = 1e3
# gates that are drawn, and low, open, high
MOST_GATES = 16
PARTS = ("#9ecae9", "#eeeeee", COLOURS[0])
WIDTH_IN, HEIGHT_IN = 11.0, 8.0


def draw_diagnostics(run: RunFacts) -> "Figure":
    """Raises Missing where nothing was measured."""
    measured = read_diagnostics(run)
    kept = np.linspace(0, len(measured) - 1, min(MOST_STEPS, len(measured))).round().astype(int)
    shown = [measured[index] for index in dict.fromkeys(kept.tolist())]
    figure = new_figure(WIDTH_IN, HEIGHT_IN)
    figure.suptitle(run.name, x=0.02, ha="left", parse_math=False)
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.1)
    (gradient, loss), (gates, memory) = figure.subplots(2, 2)
    _draw_by_step(gradient, shown, "lag", "grad_norm")
    style(gradient, "gradient of the last loss by the state")
    _log_scale(gradient, [row["grad_norm"] for row in shown])
    gradient.set_xlabel("lag in steps")
    gradient.set_ylabel("mean norm, nats")
    _draw_by_step(loss, shown, "position", "bits")
    style(loss, "loss after a reset")
    loss.set_xlabel(f"position in {run.unit}s")
    loss.set_ylabel(f"bits per {run.unit}")
    _draw_gates(gates, measured[-1])
    _draw_memory(memory, measured)
    return figure


def read_diagnostics(run: RunFacts) -> list[Row]:
    """The whole rows, in the order of steps; numbers that were not finite are NaN."""
    if not (run.path / FILE).exists():
        raise Missing(f"there is no {FILE}: callbacks.diagnostics.enabled=true has it measured")
    found = sorted(diagnostics(run.path), key=lambda row: int(row["step"]))
    if not found:
        raise Missing(f"{FILE} has no whole row")
    return found


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else float(value) for value in values]


def _draw_by_step(axes: "Axes", shown: Sequence[Mapping[str, Any]], x: str, y: str) -> None:
    """A line for each measurement, the later the darker."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import MaxNLocator

    colours = LinearSegmentedColormap.from_list("later", ["#c6d9ea", COLOURS[0], "#1b2f45"])
    for number, row in enumerate(shown):
        colour = colours(number / max(1, len(shown) - 1))
        axes.plot(row[x], _numbers(row[y]), color=colour, label=f"step {row['step']:,}")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
    axes.legend(frameon=False, fontsize=8)


def _log_scale(axes: "Axes", found: Sequence[Sequence[float | None]]) -> None:
    """With marks between powers of ten where there are few of these."""
    from matplotlib.ticker import LogLocator, NullLocator

    norms = [norm for row in found for norm in row if norm is not None and norm > 0]
    if not norms:
        return
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    if max(norms) < WIDE * min(norms):
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")


def _draw_gates(axes: "Axes", row: Mapping[str, Any]) -> None:
    """A bar a gate: the parts of its values below 0.1, between, above 0.9; its mean."""
    from matplotlib.ticker import PercentFormatter

    gates = dict(list(row["gates"].items())[:MOST_GATES])
    low, high, mean = (
        np.array(_numbers([gate[part] for gate in gates.values()]))
        for part in ("low", "high", "mean")
    )
    style(axes, f"gates at step {row['step']:,}\n")
    left = np.zeros(len(gates))
    labels = ("below 0.1", "between", "above 0.9")
    for part, colour, label in zip((low, 1 - low - high, high), PARTS, labels, strict=True):
        axes.barh(range(len(gates)), part, left=left, color=colour, label=label, height=0.7)
        left += part
    axes.plot(mean, range(len(gates)), "D", color=COLOURS[1], markersize=5, label="mean")
    axes.set_yticks(range(len(gates)), list(gates))
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("part of the values; mean of the values from 0 to 1")
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.08))


def _draw_memory(axes: "Axes", measured: Sequence[Mapping[str, Any]]) -> None:
    from matplotlib.ticker import MaxNLocator

    steps = [row["step"] for row in measured]
    memory = _numbers([row.get("memory_steps") for row in measured])
    style(axes, "memory", "lag at which a tenth of the gradient is left")
    axes.plot(steps, memory, color=COLOURS[0], marker="o", markersize=4)
    longest = max(len(row["lag"]) for row in measured)
    axes.axhline(longest, color=GREY, linewidth=0.8, linestyle="--")
    axes.annotate("as far as is measured", (steps[0], longest), va="bottom", fontsize=8, color=GREY)
    axes.set_ylim(0, 1.1 * longest)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("steps trained")
    axes.set_ylabel("steps back")
