"""Metrics over a run, from metrics.jsonl, thinned to what a plot can show.

A file of many megabytes is searched as bytes: of its rows, only those that are kept are parsed.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from charlab import rows
from charlab.reading.row_files import is_finite

Numbers = NDArray[np.float64]
Point = tuple[float, float, float, float]
NEWLINE = ord("\n")


@final
class Curve(NamedTuple):
    """One metric over a run, [P] each: its steps, characters seen, seconds, values."""

    step: Numbers
    chars_seen: Numbers
    seconds: Numbers
    value: Numbers


def read_curves(run: Path, metrics: Sequence[str], max_points: int = 400) -> dict[str, Curve]:
    """The metrics that the run has rows of, at most about `max_points` each.

    Of a metric with more, from places spread evenly over the rows of the file the first that comes,
    and the last of all. Damaged rows, and values that are no finite numbers, are passed over. Empty
    where there is no metrics.jsonl.
    """
    try:
        text = (run / "metrics.jsonl").read_bytes()
    except FileNotFoundError:
        return {}
    found = {name: _points(text, name, max_points) for name in metrics}
    return {
        name: Curve(*np.array(points, dtype=np.float64).T)
        for name, points in found.items()
        if points
    }


def _points(text: bytes, metric: str, most: int) -> list[Point]:
    key = json.dumps(metric, ensure_ascii=False).encode()
    if not _has_more(text, key, most):
        return list(_from(text, 0, key, metric))
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == NEWLINE)
    starts = np.concatenate([[0], ends[ends < len(text) - 1] + 1])
    kept: dict[Point, None] = {}
    for line in np.linspace(0, len(starts) - 1, most).round().astype(int):
        kept.update(dict.fromkeys(islice(_from(text, int(starts[line]), key, metric), 1)))
    kept.update(dict.fromkeys(_last(text, key, metric)))
    return list(kept)


def _has_more(text: bytes, key: bytes, most: int) -> bool:
    place = -1
    for _ in range(most + 1):
        place = text.find(key, place + 1)
        if place < 0:
            return False
    return True


def _from(text: bytes, start: int, key: bytes, metric: str) -> Iterator[Point]:
    """The points of the rows from here on."""
    while (place := text.find(key, start)) >= 0:
        yield from _point(text, place, metric)
        end = text.find(b"\n", place)
        if end < 0:
            return
        start = end + 1


def _last(text: bytes, key: bytes, metric: str) -> list[Point]:
    """The last point, or none."""
    end = len(text)
    while (place := text.rfind(key, 0, end)) >= 0:
        points = _point(text, place, metric)
        if points:
            return points
        end = place
    return []


def _point(text: bytes, place: int, metric: str) -> list[Point]:
    """The point of the row that the place is in; none where it is damaged."""
    end = text.find(b"\n", place)
    line = text[text.rfind(b"\n", 0, place) + 1 : len(text) if end < 0 else end]
    for row in rows.parsed([line]):
        numbers = [row.get(name) for name in ("step", "chars_seen", "seconds", metric)]
        if all(is_finite(number) for number in numbers):
            step, chars, seconds, value = map(float, numbers)  # type: ignore[arg-type]
            return [(step, chars, seconds, value)]
    return []
