"""Bits a target over a run, on train and validation, with what n-grams reach."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from charlab.picture import COLOURS, GREY, new_figure, style
from charlab.plot import X
from charlab.plot.missing import Missing
from charlab.reading.curves import Curve, Numbers, read_curves
from charlab.reading.facts import RunFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VAL = "train/bpc", "val/bpc"
# of the axis: what comes before is so high that nothing else could be told apart
EARLY = 0.03
# inches between the lines of labels
LABEL_GAP_IN = 0.14
WIDTH_IN, HEIGHT_IN = 9.0, 5.0


def draw_learning_curve(run: RunFacts, x: X) -> "Figure":
    """The best validation is that of best.ckpt. Raises Missing where nothing was measured yet."""
    curves = read_curves(run.path, (TRAIN, VAL), max_points=1000)
    if not curves:
        raise Missing(
            "metrics.jsonl has no row of train/bpc or val/bpc: no step was logged, or it is damaged"
        )
    figure = new_figure(WIDTH_IN, HEIGHT_IN)
    axes = figure.add_subplot()
    style(axes, run.name, _state(run))
    for name, colour, width in ((TRAIN, COLOURS[0], 1.2), (VAL, COLOURS[1], 1.8)):
        if name in curves:
            label, one = name.partition("/")[0], curves[name]
            marker = "." if len(one.step) < 60 and name == VAL else None
            axes.plot(
                _along(one, x), one.value, color=colour, linewidth=width, marker=marker, label=label
            )
    _limit(axes, curves, run, x)
    _draw_floors(axes, _floors(run), run.unit)
    if VAL in curves:
        _mark_best(axes, run, curves[VAL], x)
    axes.set_xlim(left=0)
    axes.set_xlabel(_x_label(x, run.unit))
    axes.set_ylabel(f"bits per {run.unit}")
    _format_x(axes, x)
    axes.legend(frameon=False, loc="upper right")
    return figure


def _state(run: RunFacts) -> str:
    if run.state != "finished":
        return f"{run.state}: as far as it is"
    test = run.score("test/bpc")
    return "finished" if test is None else f"test {test:.3f} bits per {run.unit}"


def _along(curve: Curve, x: X) -> Numbers:
    return {"steps": curve.step, "chars": curve.chars_seen, "seconds": curve.seconds}[x]


def _x_label(x: X, unit: str) -> str:
    return {
        "steps": "steps",
        "chars": f"{unit}s trained on",
        "seconds": "seconds, with validation, samples and checkpoints",
    }[x]


def _format_x(axes: "Axes", x: X) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator, StrMethodFormatter

    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=x != "seconds"))
    axes.xaxis.set_major_formatter(
        EngFormatter(sep=" ") if x == "chars" else StrMethodFormatter("{x:,.6g}")
    )


def _limit(axes: "Axes", curves: Mapping[str, Curve], run: RunFacts, x: X) -> None:
    """The y axis, to what happens after the first steps, and the best n-gram."""
    end = max(float(_along(curve, x)[-1]) for curve in curves.values())
    late = [curve.value[_along(curve, x) >= EARLY * end] for curve in curves.values()]
    floors = _floors(run)
    seen = np.concatenate([*late, [min(floors.values())] if floors else []])
    margin = 0.06 * (seen.max() - seen.min()) or 0.1
    axes.set_ylim(seen.min() - margin, seen.max() + margin)


def _floors(run: RunFacts) -> dict[str, float]:
    """Bits a target of each n-gram on validation."""
    floors = run.data.get("floors") or {}
    bits = {label: floor.get("val_bpc") for label, floor in floors.items() if "gram" in label}
    return {label: bpc for label, bpc in bits.items() if bpc is not None and math.isfinite(bpc)}


def _draw_floors(axes: "Axes", floors: Mapping[str, float], unit: str) -> None:
    """A line each, of those that the y axis has; the best is the one to beat."""
    low, high = axes.get_ylim()
    seen = {label: bpc for label, bpc in floors.items() if low <= bpc <= high}
    best = min(floors, key=floors.__getitem__, default=None)
    for label, bpc in seen.items():
        is_best = label == best
        axes.axhline(
            bpc,
            color=GREY,
            linewidth=1.2 if is_best else 0.8,
            linestyle="--",
            zorder=1,
            label="n-grams on val" if is_best else None,
        )
    gap = LABEL_GAP_IN / HEIGHT_IN * (high - low)
    for (label, bpc), place in zip(seen.items(), apart(list(seen.values()), gap), strict=True):
        axes.annotate(
            f" {label} {bpc:.3f} ",
            (1, place),
            xycoords=("axes fraction", "data"),
            fontsize=8,
            va="center",
            color=GREY,
            fontweight="bold" if label == best else "normal",
            annotation_clip=False,
        )


def apart(places: Sequence[float], gap: float) -> list[float]:
    """The places, moved as little as it takes to be `gap` apart, in their order of size."""
    order = sorted(range(len(places)), key=places.__getitem__)
    groups: list[list[int]] = []
    centres: list[float] = []
    for index in order:
        groups.append([index])
        centres.append(places[index])
        # groups that would meet become one, around the mean of its members
        while len(groups) > 1 and centres[-1] - centres[-2] < gap * (
            (len(groups[-1]) + len(groups[-2])) / 2
        ):
            joined = groups.pop(-2) + groups.pop()
            groups.append(joined)
            del centres[-2:]
            centres.append(sum(places[one] for one in joined) / len(joined))
    moved = [0.0] * len(places)
    for group, centre in zip(groups, centres, strict=True):
        for number, index in enumerate(group):
            moved[index] = centre + gap * (number - (len(group) - 1) / 2)
    return moved


def _mark_best(axes: "Axes", run: RunFacts, val: Curve, x: X) -> None:
    step, bpc = _best(run, val)
    place = float(np.interp(step, val.step, _along(val, x)))
    is_late = place > sum(axes.get_xlim()) / 2
    axes.plot([place], [bpc], "o", color=COLOURS[1], markersize=8, markeredgecolor="white")
    axes.annotate(
        f"best {bpc:.3f} at step {step:,}",
        (place, bpc),
        xytext=(-8 if is_late else 8, 12),
        textcoords="offset points",
        ha="right" if is_late else "left",
        fontsize=9,
        color=COLOURS[1],
        bbox={"color": "white", "pad": 0.5},  # hides lines behind it
    )


def _best(run: RunFacts, val: Curve) -> tuple[int, float]:
    """(step, bits) of best.ckpt; of a run that has not finished, so far."""
    step, bpc = run.scores.get("best_step"), run.score(VAL)
    if isinstance(step, int) and bpc is not None:
        return step, bpc
    least = int(val.value.argmin())
    return int(val.step[least]), float(val.value[least])
