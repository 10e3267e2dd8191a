"""Figures of scores and of what they cost: every seed, the price of a bit, the throughput."""

from collections.abc import Callable, Mapping, Sequence

import plotly.graph_objects as go

from charlab.compare.comparison import ComparisonSet, Estimate, Variant
from charlab.compare.page.figure import (
    MARK_PX,
    Figure,
    frame,
    meta,
    rounded,
    row_label,
    rows_frame,
    upright,
)
from charlab.compare.page.look import INK, QUIET, Look
from charlab.compare.page.words import bits, count, cut, in_figure, interval
from charlab.compare.sentences import percent

MOST_ROWS = 30
MOST_LABELS = 8


def every_seed(
    one: ComparisonSet, looks: dict[str, Look], confidence: float, name: str
) -> Figure | None:
    """A row a variant: the score of each run, their mean and its interval."""
    variants = [v for v in one.variants if v.score(one.ranked_by)][:MOST_ROWS]
    if not variants:
        return None
    scores = [_scores(one, variant) for variant in variants]
    means = [estimate for v in variants if (estimate := v.score(one.ranked_by))]
    ends = [score for of_runs in scores for score in of_runs.values()]
    ends += [end for estimate in means for end in _ends(estimate)]
    span = max(ends) - min(ends) or 0.01
    floor = one.best_floor
    floor_bits = 0.0 if floor is None else _of(one, floor.val_bpc, floor.test_bpc)
    has_floor = floor is not None and min(ends) - span < floor_bits < max(ends) + span
    if has_floor:
        ends.append(floor_bits)
    pad = 0.05 * (max(ends) - min(ends)) or 0.01
    x_range = (min(ends) - pad, max(ends) + pad)
    x_title = f"bits/{one.unit} on {one.ranked_by}, less is better"
    plot = go.Figure(layout=rows_frame(len(variants), x_title, x_range))
    if has_floor and floor is not None:
        plot.add_trace(upright(floor_bits, len(variants), QUIET[0]))
    for row, (variant, estimate, of_runs) in enumerate(zip(variants, means, scores, strict=True)):
        look = looks[variant.label]
        within = "" if estimate.low is None else f" {interval(estimate.low, estimate.high)}"
        label = f"{in_figure(cut(variant.label, 40))} · {bits(estimate.mean)}{within}"
        plot.add_traces(
            [
                row_label(row, label, x_range[0], look),
                _mean(row, estimate, look),
                _dots(row, variant, of_runs, look),
            ]
        )
    caption = f"A dot is a run; the bar is the {percent(confidence)} interval of their mean."
    if has_floor and floor is not None:
        caption += f" The grey line is the {floor.label}, the one to beat."
    if len(variants) < len(one.variants):
        caption += f" The best {len(variants)} of {len(one.variants)}."
    return Figure(name, "Every seed", caption, plot)


def _scores(one: ComparisonSet, variant: Variant) -> dict[int, float]:
    """By seed, of the runs that have one."""
    found = {run.seed: run.score(f"{one.ranked_by}/bpc") for run in variant.runs}
    return {seed: score for seed, score in found.items() if score is not None}


def _of(one: ComparisonSet, val: float, test: float) -> float:
    return val if one.ranked_by == "val" else test


def _ends(estimate: Estimate) -> Sequence[float]:
    ends = (estimate.mean, estimate.low, estimate.high)
    return [end for end in ends if end is not None]


def _dots(row: int, variant: Variant, scores: Mapping[int, float], look: Look) -> go.Scatter:
    label = in_figure(variant.label)
    return go.Scatter(
        x=list(scores.values()),
        y=[row] * len(scores),
        mode="markers",
        marker={
            "color": look.colour,
            "size": MARK_PX - 1,
            "symbol": look.mark,
            "opacity": 0.8,
            "line": {"width": 0},
        },
        hovertext=[f"{label}<br>seed {seed}: {bits(score, 4)}" for seed, score in scores.items()],
        hoverinfo="text",
        meta=meta(look),
    )


def _mean(row: int, estimate: Estimate, look: Look) -> go.Scatter:
    ends = _ends(estimate)
    return go.Scatter(
        x=[min(ends), estimate.mean, max(ends)],
        y=[row] * 3,
        mode="lines",
        line={"color": look.band_colour, "width": 16},
        hoverinfo="skip",
        meta=meta(look),
    )


def against(
    one: ComparisonSet,
    looks: dict[str, Look],
    name: str,
    title: str,
    x_title: str,
    remark: str,
    x_of: Callable[[Variant], float | None],
) -> Figure | None:
    """The score of each variant against what it costs; None where that is not known of two."""
    points = [
        (variant, x, estimate)
        for variant in one.variants
        if (x := x_of(variant)) and (estimate := variant.score(one.ranked_by))
    ]
    if len(points) < 2:
        return None
    costs = [x for _, x, _ in points]
    layout = frame(320, x_title, f"bits/{one.unit} on {one.ranked_by}")
    is_log = max(costs) > 10 * min(costs)
    layout.xaxis.update({"type": "log", "dtick": "D2"} if is_log else {"type": "linear"})
    if not is_log:
        # costs that are equal but for a rounding are to look so
        half = max(0.62 * (max(costs) - min(costs)), 0.1 * max(costs))
        middle = (max(costs) + min(costs)) / 2
        layout.xaxis.range = [middle - half, middle + half]
    plot = go.Figure(layout=layout)
    plot.add_trace(
        go.Scatter(
            x=[],
            y=[],
            mode="lines+markers",
            line={"color": QUIET[0], "width": 1.5, "dash": "dot", "shape": "hv"},
            marker={
                "symbol": "circle-open",
                "size": 2 * MARK_PX,
                "color": QUIET[0],
                "line": {"width": 1.5},
            },
            hoverinfo="skip",
            meta=meta(front=True),
        )
    )
    sides = _sides(costs) if len(points) <= MOST_LABELS else [None] * len(points)
    plot.add_traces(
        [
            _point(one, variant, x, estimate, looks[variant.label], side)
            for (variant, x, estimate), side in zip(points, sides, strict=True)
        ]
    )
    caption = (
        f"Means over seeds with their intervals; {remark}. Ringed and dotted: the front, those "
        "that no other beats in both."
    )
    return Figure(name, title, caption, plot)


def _sides(costs: Sequence[float]) -> list[str | None]:
    """Where a label stands: inwards, or in turns where the costs are next to the same."""
    low, high = min(costs), max(costs)
    if high - low < 0.1 * high:
        return [("right", "left")[place % 2] for place in range(len(costs))]
    return ["left" if cost > low + 0.67 * (high - low) else "right" for cost in costs]


def _point(
    one: ComparisonSet,
    variant: Variant,
    x: float,
    estimate: Estimate,
    look: Look,
    side: str | None,
) -> go.Scatter:
    low, high = min(_ends(estimate)), max(_ends(estimate))
    label = in_figure(variant.label)
    return go.Scatter(
        x=[x],
        y=[estimate.mean],
        mode="markers+text" if side else "markers",
        text=[f"   {in_figure(cut(variant.label, 24))}   "],
        textposition=f"middle {side or 'right'}",
        textfont={"size": 12},
        marker={"color": look.colour, "size": MARK_PX + 1, "symbol": look.mark},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [high - estimate.mean],
            "arrayminus": [estimate.mean - low],
            "color": look.colour,
            "thickness": 1.5,
            "width": 4,
        },
        hovertext=[f"{label}<br>{count(x)}, {bits(estimate.mean, 4)} bits/{one.unit}"],
        hoverinfo="text",
        meta=meta(look),
    )


def throughput(one: ComparisonSet, looks: dict[str, Look], name: str) -> Figure | None:
    """A bar a variant, the fastest first, with a dot for each run."""
    speeds = {v.label: v.chars_per_s for v in one.variants if v.chars_per_s}
    variants = sorted(
        (v for v in one.variants if v.label in speeds), key=lambda v: -speeds[v.label]
    )[:MOST_ROWS]
    if not variants:
        return None
    of_runs = [[speed for run in v.runs if (speed := run.chars_per_s)] for v in variants]
    most = max(*(speed for row in of_runs for speed in row), *speeds.values())
    plot = go.Figure(
        layout=rows_frame(len(variants), f"{one.unit}s trained on a second", (0, 1.05 * most))
    )
    for row, (variant, of_variant) in enumerate(zip(variants, of_runs, strict=True)):
        look, speed = looks[variant.label], speeds[variant.label]
        label = f"{in_figure(cut(variant.label, 40))} · {count(speed)}"
        bar = go.Bar(
            x=[speed],
            y=[row],
            orientation="h",
            width=0.36,
            marker={"color": look.colour, "opacity": 0.85},
            hovertext=[f"{in_figure(variant.label)}<br>{count(speed)} {one.unit}s/s"],
            hoverinfo="text",
            meta=meta(look),
        )
        dots = go.Scatter(
            x=rounded(of_variant),
            y=[row] * len(of_variant),
            mode="markers",
            marker={
                "symbol": "line-ns",
                "size": 9,
                "line": {"color": INK[0], "width": 1.5},
                "opacity": 0.7,
            },
            hoverinfo="skip",
            meta=meta(look),
        )
        plot.add_traces([row_label(row, label, 0, look), bar, dots])
    caption = "The median over seeds; a tick is a run. Without validation, samples and checkpoints."
    return Figure(name, "Throughput", caption, plot)
