"""A comparison for programs: one JSON object, or CSV with a row a variant.

    {"confidence": 0.95, "differing": [OPTION, ...],
     "sets": [{"title", "unit", "ranked_by": "test" | "val", "notes": [LINE, ...],
               "variants": [{"rank", "label", "cell", "settings": {OPTION: VALUE}, "reason",
                             "val": ESTIMATE, "test": ESTIMATE, "num_params", "state_size",
                             "chars_per_s", "train_s", "seconds", "peak_memory_bytes",
                             "runs": [{"path", "seed", "val_bpc", "test_bpc"}, ...]}, ...],
               "pairs": [{"better", "worse", "n", "difference", "low", "high",
                          "verdict": "beats" | "alone" | "close" | "few", "sentence",
                          "is_comparable", "seeds_needed"}, ...],
               "floors": [{"label", "val_bpc", "test_bpc", "is_best"}, ...]}, ...],
     "not_ranked": [LINE, ...],
     "left_out": [{"path", "why"}, ...], "unreadable": [{"path", "why"}, ...]}

ESTIMATE is {"n", "mean", "sd", "low", "high"} or null. Scores and differences are in bits a target;
what is not known is null, in CSV empty.
"""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from charlab import rows
from charlab.compare.comparison import Comparison, ComparisonSet, Estimate, Variant

ESTIMATE = ("n", "mean", "sd", "low", "high")


def to_json(comparison: Comparison) -> str:
    plain = {
        "confidence": comparison.confidence,
        "differing": comparison.differing,
        "sets": [_set(one) for one in comparison.sets],
        "not_ranked": comparison.not_ranked,
        "left_out": [_why(one.path, one.why) for one in comparison.left_out],
        "unreadable": [_why(one.path, one.why) for one in comparison.unreadable],
    }
    return json.dumps(rows.finite(plain), ensure_ascii=False, allow_nan=False, default=str)


def _why(path: object, why: str) -> dict[str, str]:
    return {"path": str(path), "why": why}


def _set(one: ComparisonSet) -> dict[str, Any]:
    return {
        "title": one.title,
        "unit": one.unit,
        "ranked_by": one.ranked_by,
        "notes": one.notes,
        "variants": [_variant(rank, variant) for rank, variant in enumerate(one.variants, 1)],
        "pairs": [asdict(pair) for pair in one.pairs],
        "floors": [asdict(floor) for floor in one.floors],
    }


def _variant(rank: int, variant: Variant) -> dict[str, Any]:
    return {
        "rank": rank,
        "label": variant.label,
        "cell": variant.cell,
        "settings": variant.settings,
        "reason": variant.reason,
        "val": _estimate(variant.val),
        "test": _estimate(variant.test),
        **_costs(variant),
        "runs": [
            {
                "path": str(run.path),
                "seed": run.seed,
                "val_bpc": run.score("val/bpc"),
                "test_bpc": run.score("test/bpc"),
            }
            for run in variant.runs
        ],
    }


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else asdict(estimate)


def _costs(variant: Variant) -> dict[str, Any]:
    return {
        "num_params": variant.num_params,
        "state_size": variant.state_size,
        "chars_per_s": variant.chars_per_s,
        "train_s": variant.train_s,
        "seconds": variant.seconds,
        "peak_memory_bytes": variant.peak_memory_bytes,
    }


def to_csv(comparison: Comparison) -> str:
    """Columns: set, rank, label, cell, unit, seeds, test_*, val_*, costs, reason, options."""
    found: list[Mapping[str, Any]] = [
        _row(number, rank, one, variant, comparison.differing)
        for number, one in enumerate(comparison.sets, 1)
        for rank, variant in enumerate(one.variants, 1)
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(found[0]) if found else ["set"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


def _row(
    number: int, rank: int, one: ComparisonSet, variant: Variant, differing: tuple[str, ...]
) -> dict[str, Any]:
    estimates = {
        f"{split}_{name}": None if estimate is None else getattr(estimate, name)
        for split, estimate in (("test", variant.test), ("val", variant.val))
        for name in ESTIMATE
    }
    return {
        "set": number,
        "rank": rank,
        "label": variant.label,
        "cell": variant.cell,
        "unit": one.unit,
        "seeds": " ".join(str(run.seed) for run in variant.runs),
        **estimates,
        **_costs(variant),
        "reason": variant.reason,
        **{name: variant.settings.get(name) for name in differing},
    }
