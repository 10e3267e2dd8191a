"""The score of a run, from its run directory. Imports no torch."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charlab.reading.row_files import metrics


def score_of(record: Mapping[str, Any], run: Path | None, metric: str) -> float | None:
    """The metric in run.json's scores, which are the best validation's, else in its last row.

    None where there is none, or none that is finite.
    """
    value = (record.get("scores") or {}).get(metric)
    if value is None and run is not None:
        logged = [row[metric] for row in metrics(run) if metric in row]
        value = logged[-1] if logged else None
    return finite(value)


def finite(value: Any) -> float | None:
    """The value as a number, None where it is none or not finite."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def history(run: Path, metric: str) -> dict[int, float]:
    """The finite values of a metric by step, in the order in which they came."""
    found = {}
    for row in metrics(run):
        value = finite(row.get(metric))
        if value is not None:
            found[row["step"]] = value
    return found
