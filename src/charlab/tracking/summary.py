"""What W&B's table of runs says of one: where it comes from, its best and its last values."""

import math
from collections.abc import Mapping
from typing import Any

from charlab.reading.row_files import metrics
from charlab.runs import Run

# of run.json: nothing that names the machine, its user or their folders
FACTS = (
    "config_hash",
    "code",
    "git",
    "versions",
    "hardware",
    "device",
    "num_processes",
    "total_steps",
    "model",
)
DATA_FACTS = (
    "name",
    "fingerprint",
    "vocabulary_fingerprint",
    "standard_split",
    "unit",
    "num_symbols",
    "num_train",
    "num_val",
    "num_test",
)


def facts(run: Run) -> dict[str, Any]:
    """The code, the data, the model's size and the hardware of a run, from its record."""
    data = run.record.get("data") or {}
    found = {name: run.record[name] for name in FACTS if name in run.record}
    return found | {"data": {name: data[name] for name in DATA_FACTS if name in data}}


def best_and_final(run: Run, scores: Mapping[str, float]) -> dict[str, Any]:
    """Entries of the summary: best/* and test/* of the best checkpoint, final/* of the last step.

    scores  those of the best checkpoint, and its step as "best_step"
    """
    tested = {name: score for name, score in scores.items() if name.startswith("test/")}
    validated = {name: score for name, score in scores.items() if name.startswith("val/")}
    best = {f"best/{name}": score for name, score in (validated | tested).items()}
    final: dict[str, Any] = {}
    for row in metrics(run.path):
        for name, value in row.items():
            if name in ("step", "chars_seen", "seconds") or name.startswith(("train/", "val/")):
                final[f"final/{name}"] = value
    return {**best, "best/step": scores["best_step"], **final, **tested}


def best_validation(run: Run) -> float:
    """The least val/bpc that the run has recorded, infinite where there is none."""
    found = (row["val/bpc"] for row in metrics(run.path) if row.get("val/bpc") is not None)
    return min(found, default=math.inf)
