"""The figures of docs/results.md and README.md, drawn from the records under docs/results."""

from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from records import compared
from tables import TASKS

from charlab.compare.comparison import ComparisonSet, Variant
from charlab.compare.page.look import COLOURS
from charlab.picture import GREY, new_figure, save, style
from charlab.reading.curves import read_curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELLS = ("gru", "custom_gru", "lstm", "rnn")
STREAMS = ("tuned_enwik8_head", "tuned_stdlib")
# as the page of `charlab compare` has them, which goes by the alphabet
COLOUR = {cell: COLOURS[number][0] for number, cell in enumerate(sorted(CELLS))}


def draw_answer(path: Path) -> None:
    """Test scores of the four tasks: every seed, the mean, its interval; the best n-gram."""
    figure = new_figure(9.0, 2.6)
    axes_of_tasks = figure.subplots(1, len(TASKS), sharey=True)
    for axes, (group, (label, unit)) in zip(axes_of_tasks, TASKS.items(), strict=True):
        of = compared(group)
        style(axes, label)
        axes.title.set_fontsize(10)
        axes.grid(axis="x", color="#e4e4e4", linewidth=0.8)
        axes.grid(visible=False, axis="y")
        for variant in of.variants:
            _draw_scores(axes, variant)
        _draw_floor(axes, of)
        axes.set_yticks(range(len(CELLS)), CELLS)
        axes.set_ylim(len(CELLS) - 0.5, -0.5)
        axes.set_xlabel(f"test, bits/{unit}", fontsize=9)
        axes.locator_params(axis="x", nbins=4)
        axes.margins(x=0.12)
    save(figure, path)


def _draw_scores(axes: "Axes", variant: Variant) -> None:
    row, colour = CELLS.index(variant.cell), COLOUR[variant.cell]
    scores = [score for run in variant.runs if (score := run.score("test/bpc")) is not None]
    axes.plot(scores, [row] * len(scores), "o", color=colour, markersize=4, alpha=0.35)
    test = variant.test
    assert test is not None
    if test.low is not None and test.high is not None:
        axes.plot([test.low, test.high], [row, row], color=colour, linewidth=2)
    axes.plot([test.mean], [row], "|", color=colour, markersize=14, markeredgewidth=2)


def _draw_floor(axes: "Axes", of: ComparisonSet) -> None:
    floor = of.best_floor
    assert floor is not None
    axes.axvline(floor.test_bpc, color=GREY, linestyle=":", linewidth=1.2)
    axes.annotate(
        floor.label,
        (floor.test_bpc, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-3, -3),
        textcoords="offset points",
        rotation=90,
        ha="right",
        va="top",
        fontsize=8,
        color=GREY,
    )


def draw_curves(path: Path) -> None:
    """Validation against characters read, means over seeds."""
    figure = new_figure(9.0, 3.6)
    row_of_axes = figure.subplots(1, len(STREAMS), squeeze=False)[0]
    for axes, group in zip(row_of_axes, STREAMS, strict=True):
        of = compared(group)
        label, unit = TASKS[group]
        style(axes, label)
        for variant in of.variants:
            _draw_curve(axes, variant)
        floor = of.best_floor
        assert floor is not None
        axes.axhline(floor.val_bpc, color=GREY, linestyle=":", linewidth=1.2)
        axes.annotate(
            floor.label,
            (0, floor.val_bpc),
            xycoords=("axes fraction", "data"),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=8,
            color=GREY,
        )
        axes.set_xlabel(f"{unit}s read, millions")
        axes.set_ylabel(f"validation, bits/{unit}")
        axes.legend(frameon=False, fontsize=9)
    save(figure, path)


def _draw_curve(axes: "Axes", variant: Variant) -> None:
    curves = [read_curves(run.path, ["val/bpc"])["val/bpc"] for run in variant.runs]
    shared = min(len(curve.step) for curve in curves)
    millions = curves[0].chars_seen[:shared] / 1e6
    values = np.array([curve.value[:shared] for curve in curves])
    colour = COLOUR[variant.cell]
    axes.fill_between(millions, values.min(0), values.max(0), color=colour, alpha=0.16, linewidth=0)
    means = [fmean(column) for column in values.T]
    axes.plot(millions, means, color=colour, marker="o", markersize=3, label=variant.cell)
