"""Figures of diagnostics.jsonl: how far gradients reach, where bits go, gates, memory."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from charlab.compare.comparison import ComparisonSet
from charlab.compare.page.figure import Figure, frame, meta, rounded, row_label, rows_frame
from charlab.compare.page.look import Look
from charlab.compare.page.words import cut, in_figure
from charlab.reading.curves import Numbers
from charlab.reading.row_files import Row, diagnostics

MOST_GATE_ROWS = 30


def insight(one: ComparisonSet, looks: dict[str, Look], name: str) -> list[Figure]:
    """A figure of each measurement that there is; none without any."""
    measured = {
        variant.label: found
        for variant in one.variants
        if (found := [all_rows for run in variant.runs if (all_rows := [*diagnostics(run.path)])])
    }
    last = {label: [of_run[-1] for of_run in runs] for label, runs in measured.items()}
    over_steps = {
        label: lines
        for label, runs in measured.items()
        if (lines := [_memory(of_run) for of_run in runs if _memory(of_run)])
    }
    figures = [
        _lines(
            f"{name}-gradient",
            "How far gradients reach",
            "The norm of the gradient of the last loss by the state so many steps before it, in "
            "nats, at the last measurement; the median over seeds.",
            {label: _medians(of_seeds, "lag", "grad_norm") for label, of_seeds in last.items()},
            looks,
            ("steps back", "gradient norm", True),
        ),
        _lines(
            f"{name}-position",
            "Loss by position",
            f"Bits/{one.unit} so many steps after a reset, at the last measurement; the median "
            "over seeds.",
            {label: _medians(of_seeds, "position", "bits") for label, of_seeds in last.items()},
            looks,
            ("position", f"bits/{one.unit}", False),
        ),
        _gates(f"{name}-gates", last, looks),
        _lines(
            f"{name}-memory",
            "Length of the memory",
            "The lag at which a tenth of the gradient is left; the median over seeds.",
            {
                label: _medians([_turned(one_run) for one_run in of_seeds], "step", "memory")
                for label, of_seeds in over_steps.items()
            },
            looks,
            ("training steps", "steps", False),
        ),
    ]
    return [figure for figure in figures if figure is not None]


def _memory(of_run: Sequence[Row]) -> list[tuple[float, float]]:
    return [
        (row["step"], row["memory_steps"])
        for row in of_run
        if isinstance(row.get("memory_steps"), int | float)
    ]


def _turned(points: Sequence[tuple[float, float]]) -> Row:
    step, memory = zip(*points, strict=True)
    return {"step": list(step), "memory": list(memory)}


def _medians(of_seeds: Sequence[Row], x: str, y: str) -> tuple[list[float], list[float]] | None:
    """Of the seeds that were measured at the same places, as far as all; None where there is none.

    Null is NaN, and passed over.
    """
    num = min(len(row[x]) for row in of_seeds)
    places: list[float] = of_seeds[0][x][:num]
    same = [row[y][:num] for row in of_seeds if row[x][:num] == places]
    values_SP: Numbers = np.array(same, dtype=np.float64)
    known = ~np.isnan(values_SP).all(axis=0)
    if not known.any():
        return None
    medians = np.nanmedian(values_SP[:, known], axis=0)
    return rounded(np.array(places, dtype=np.float64)[known]), rounded(medians)


def _lines(
    name: str,
    title: str,
    caption: str,
    found: Mapping[str, tuple[list[float], list[float]] | None],
    looks: dict[str, Look],
    axes: tuple[str, str, bool],
) -> Figure | None:
    """axes: the titles of x and y, and whether y is logarithmic."""
    x_title, y_title, is_log = axes
    lines = {label: line for label, line in found.items() if line and line[0]}
    if not lines:
        return None
    layout = frame(320, x_title, y_title)
    layout.hovermode = "x unified"
    layout.yaxis.update({"type": "log", "exponentformat": "e"} if is_log else {"type": "linear"})
    plot = go.Figure(layout=layout)
    for label, (x, y) in lines.items():
        look = looks[label]
        trace = go.Scatter(
            x=x,
            # a gradient of zero has no place on a logarithmic axis
            y=[None if is_log and value <= 0 else value for value in y],
            mode="lines+markers" if len(x) <= 30 else "lines",
            name=in_figure(label),
            line={"color": look.colour, "dash": look.dash, "width": 2},
            marker={"size": 5, "symbol": look.mark},
            hovertemplate="%{y:.4g}",
            meta=meta(look),
        )
        plot.add_trace(trace)
    return Figure(name, title, caption, plot)


def _gates(name: str, last: Mapping[str, Sequence[Row]], looks: dict[str, Look]) -> Figure | None:
    shares = [
        (label, gate, low, high)
        for label, of_seeds in last.items()
        for gate in dict.fromkeys(gate for row in of_seeds for gate in row["gates"])
        if (low := _share(of_seeds, gate, "low")) is not None
        and (high := _share(of_seeds, gate, "high")) is not None
    ][:MOST_GATE_ROWS]
    if not shares:
        return None
    layout = rows_frame(len(shares), "share of units and steps", (0, 1))
    layout.xaxis.update(tickformat=".0%")
    layout.barmode = "overlay"
    plot = go.Figure(layout=layout)
    for row, (label, gate, low, high) in enumerate(shares):
        look = looks[label]
        text = f"{in_figure(cut(label, 26))} · {in_figure(gate)} · {low:.0%} low, {high:.0%} high"
        bars = [
            go.Bar(
                x=[share],
                base=[base],
                y=[row],
                orientation="h",
                width=0.32,
                marker={"color": look.colour, "opacity": opacity},
                hoverinfo="skip",
                meta=meta(look),
            )
            for share, base, opacity in (
                (low, 0, 0.95),
                (1 - low - high, low, 0.15),
                (high, 1 - high, 0.55),
            )
        ]
        plot.add_traces([row_label(row, text, 0, look), *bars])
    caption = (
        "How often a gate is below 0.1 (left, dark) or above 0.9 (right), at the last measurement; "
        "the mean over seeds. The number before a gate is its layer; a layer without gates has the "
        "size of its state instead."
    )
    return Figure(name, "Gates at their ends", caption, plot)


def _share(of_seeds: Sequence[Row], gate: str, end: str) -> float | None:
    found = [
        share
        for row in of_seeds
        if isinstance(share := row["gates"].get(gate, {}).get(end), int | float)
    ]
    return math.fsum(found) / len(found) if found else None
