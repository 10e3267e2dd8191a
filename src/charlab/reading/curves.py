"""Metrics over a run, from metrics.jsonl, thinned to what a plot can show."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from charlab import rows

Numbers = NDArray[np.float64]


@final
class Curve(NamedTuple):
    """One metric over a run, [P] each: its steps, characters seen, seconds, values."""

    step: Numbers
    chars_seen: Numbers
    seconds: Numbers
    value: Numbers


def read_curves(run: Path, metrics: Sequence[str], max_points: int = 400) -> dict[str, Curve]:
    """The metrics that the run has rows of, at most `max_points` each, the last always.

    Empty where there is no metrics.jsonl. Damaged rows are passed over.
    """
    file = run / "metrics.jsonl"
    if not file.exists():
        return {}
    found: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in metrics}
    with file.open("rb") as opened:
        for row in rows.parsed(opened):
            for name in metrics:
                if row.get(name) is not None:
                    place = (row["step"], row["chars_seen"], row["seconds"])
                    found[name].append((*place, row[name]))
    return {
        name: Curve(*np.array(_thinned(points, max_points), dtype=np.float64).T)
        for name, points in found.items()
        if points
    }


def _thinned(
    points: list[tuple[float, float, float, float]], most: int
) -> list[tuple[float, float, float, float]]:
    kept = np.unique(np.linspace(0, len(points) - 1, min(most, len(points))).round().astype(int))
    return [points[index] for index in kept]
