"""Scores, and the floors beside them, as rows of a table for the terminal."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from charlab.data.dataset import DataSet
from charlab.data.quality import Quality

Row = tuple[str, str]


def shown_bpc(bpc: float | None) -> str:
    return "no finite" if bpc is None else f"{bpc:.3f}"


def floor_rows(data: DataSet) -> list[Row]:
    """What n-grams and compressors reach on test."""
    rows = [("floor", f"{_ngrams(data, 'test')} bits/{data.unit} on test")]
    if data.floors.compressors:
        rows.append(("", f"{_compressors(data, 'test')} bits/{data.unit} on test"))
    return rows


def score_rows(split: str, scores: Mapping[str, Any], data: DataSet) -> list[Row]:
    """The score of a split; beside the floors where it has any: an n-gram has seen train."""
    bpc = scores[f"{split}/bpc"]
    if bpc is None or not math.isfinite(bpc):
        return [(f"{split} score", "[red]not a number: the model diverged[/]")]
    also = f"{scores[f'{split}/loss']:.3f} nats/{'token' if data.document else data.unit}"
    if data.document is not None:
        also += f", {scores[f'{split}/nats_per_{data.document}']:.2f} nats/{data.document}"
    if f"{split}/bits_per_byte" in scores:
        also += f", {scores[f'{split}/bits_per_byte']:.3f} bits/byte"
    rows = [(f"{split} score", f"[bold]{bpc:.3f} bits/{data.unit}[/] ({also})")]
    if f"{split}/dynamic_bpc" in scores:
        dynamic = f"[bold]{scores[f'{split}/dynamic_bpc']:.3f} bits/{data.unit}[/]"
        if f"{split}/dynamic_bits_per_byte" in scores:
            dynamic += f" ({scores[f'{split}/dynamic_bits_per_byte']:.3f} bits/byte)"
        rows.append(("", f"{dynamic} by dynamic evaluation, another quantity"))
    if split == "val":
        rows += _beside_floors("val", bpc, data)
    elif split == "test":
        rows += _beside_floors("test", bpc, data)
    if not data.record["standard_split"]:
        rows.append(("", "[yellow]not on the published split: no result of that corpus[/]"))
    return rows


def _beside_floors(split: Literal["val", "test"], bpc: float, data: DataSet) -> list[Row]:
    order = data.floors.best_order
    margin = _bpc(data, split, order) - bpc
    verdict = (
        f"[green]the {order}-gram is beaten by {margin:.3f}[/]"
        if margin > 0
        else f"[yellow]{-margin:.3f} short of the {order}-gram: not trained yet[/]"
    )
    shown = _ngrams(data, split)
    if data.floors.compressors:
        shown += f" · {_compressors(data, split)}"
    return [("floors", f"{shown} bits/{data.unit}"), ("", verdict)]


def _bpc(data: DataSet, split: Literal["val", "test"], order: int) -> float:
    floor = data.floors.ngrams[order]
    return floor.val_bpc if split == "val" else floor.test_bpc


def _ngrams(data: DataSet, split: Literal["val", "test"]) -> str:
    return " · ".join(f"{n}-gram {_bpc(data, split, n):.3f}" for n in data.floors.ngrams)


def _compressors(data: DataSet, split: Literal["val", "test"]) -> str:
    return " · ".join(
        f"{name} {floor.val_bpc if split == 'val' else floor.test_bpc:.3f}"
        for name, floor in data.floors.compressors.items()
    )


def quality_rows(quality: Quality | None) -> list[Row]:
    if quality is None:
        return []
    parts = (
        f"{quality['unique']:.3f} unique · {quality['novel']:.3f} not in train · "
        f"{quality['ended']:.3f} ended · {quality['held_out']:.1%} of the held-out items drawn"
    )
    return [(f"{quality['num_samples']:,} samples", parts)]
