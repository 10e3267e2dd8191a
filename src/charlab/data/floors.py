"""What a network has to beat: the scores of simple methods on the same splits, and their cache."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, final

from charlab.files import read_note, write_note


@final
@dataclass(frozen=True)
class Floor:
    """The score of one method, in nats a target: a character, a byte, or the end of a name.

    bits = nats / ln 2
    """

    val_nats: float
    test_nats: float

    @property
    def val_bpc(self) -> float:
        return self.val_nats / math.log(2)

    @property
    def test_bpc(self) -> float:
        return self.test_nats / math.log(2)


@final
@dataclass(frozen=True)
class Floors:
    """All floors of a data set.

    ngrams       by order
    compressors  by name; empty where the data are no stream
    note         in words, where they saw or scored a part of the data only; else empty
    """

    ngrams: dict[int, Floor]
    compressors: dict[str, Floor]
    note: str

    @property
    def best_order(self) -> int:
        """The order that does best on validation: what a trained network has to beat on test."""
        return min(self.ngrams, key=lambda order: self.ngrams[order].val_nats)

    @property
    def by_label(self) -> dict[str, Floor]:
        """All of them: 1-gram, 2-gram, ..., then the compressors."""
        return {f"{n}-gram": floor for n, floor in self.ngrams.items()} | self.compressors

    @property
    def metrics(self) -> dict[str, float]:
        """Bits a target on the test split, by metric name."""
        named = {f"ngram{n}": floor for n, floor in self.ngrams.items()} | self.compressors
        return {f"baseline/{name}_bpc": floor.test_bpc for name, floor in named.items()}

    @property
    def record(self) -> dict[str, dict[str, float]]:
        """All of them for run.json, in bits a target."""
        return {
            label: {"val_bpc": floor.val_bpc, "test_bpc": floor.test_bpc}
            for label, floor in self.by_label.items()
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """The floors that `asdict` wrote; KeyError, TypeError or ValueError for others."""
        floors = cls(
            ngrams={int(order): Floor(**row) for order, row in plain["ngrams"].items()},
            compressors={name: Floor(**row) for name, row in plain["compressors"].items()},
            note=plain["note"],
        )
        scores = [score for floor in floors.by_label.values() for score in asdict(floor).values()]
        if not all(map(math.isfinite, scores)):
            raise ValueError(f"a floor is a finite number; got {scores}")
        return floors


def cached_floors(path: Path, labels: Sequence[str], compute: Callable[[], Floors]) -> Floors:
    """The floors of these labels from the file, or computed and kept there.

    A damaged file is computed anew; one that cannot be written is left alone.
    """
    floors = read_floors(path, labels)
    if floors is None:
        floors = compute()
        write_note(path, asdict(floors))
    return floors


def read_floors(path: Path, labels: Sequence[str]) -> Floors | None:
    """The floors of these labels from the file, None if it is missing or damaged."""
    try:
        floors = Floors.from_plain(read_note(path))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return floors if list(floors.by_label) == list(labels) else None
