"""n-gram floors of a corpus of names: fitted on train, scored on val and test, cached on disk."""

import json
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

import numpy as np

from charlab.data.names import NamesCorpus
from charlab.data.ngram import Ids, NgramModel
from charlab.data.vocabulary import Vocabulary

ORDERS = (1, 2, 3, 4, 5)


@final
@dataclass(frozen=True)
class NgramFloor:
    """The score of one order. A token is a character or the EOS that ends each name.

    bits per character = nats per token / ln 2
    """

    val_nats_per_token: float
    test_nats_per_token: float

    @property
    def val_bpc(self) -> float:
        return self.val_nats_per_token / math.log(2)

    @property
    def test_bpc(self) -> float:
        return self.test_nats_per_token / math.log(2)


def ngram_floors(
    corpus: NamesCorpus, vocabulary: Vocabulary, orders: Sequence[int] = ORDERS
) -> dict[int, NgramFloor]:
    """The floor of each order.

    The base distribution is uniform over what can be a target: EOS, UNK and the characters.
    """
    model = NgramModel(max(orders), len(vocabulary) - vocabulary.EOS)
    model.fit(*_flat(corpus.train, vocabulary))
    val_nats, num_val = model.score_orders(*_flat(corpus.val, vocabulary))
    test_nats, num_test = model.score_orders(*_flat(corpus.test, vocabulary))
    return {
        order: NgramFloor(val_nats[order - 1] / num_val, test_nats[order - 1] / num_test)
        for order in orders
    }


def _flat(names: Sequence[str], vocabulary: Vocabulary) -> tuple[Ids, Ids]:
    """The targets of the names end to end, and offsets; EOS, the first target id, becomes 0."""
    ids = [index for name in names for index in (*vocabulary.encode(name), vocabulary.EOS)]
    offsets = np.cumsum([0, *(len(name) + 1 for name in names)])
    return np.array(ids, np.int64) - vocabulary.EOS, offsets


def cached_ngram_floors(
    corpus: NamesCorpus,
    vocabulary: Vocabulary,
    orders: Sequence[int] = ORDERS,
    *,
    cache_dir: Path,
) -> dict[int, NgramFloor]:
    """`ngram_floors`, computed once for each corpus, split and set of orders.

    A damaged cache file is computed anew; a cache that cannot be written is left alone.
    """
    key = f"{corpus.fingerprint}-{vocabulary.fingerprint}-{'.'.join(map(str, orders))}"
    path = cache_dir / f"ngram-floors-1-{key}.json"  # 1: the version of the method
    floors = _read(path)
    if list(floors) != list(orders):
        floors = ngram_floors(corpus, vocabulary, orders)
        _write(path, floors)
    return floors


def _read(path: Path) -> dict[int, NgramFloor]:
    """What the file holds, nothing if it is missing or damaged."""
    try:
        rows = json.loads(path.read_bytes())
        floors = {int(order): NgramFloor(**row) for order, row in rows.items()}
        sound = all(
            math.isfinite(floor.val_nats_per_token) and math.isfinite(floor.test_nats_per_token)
            for floor in floors.values()
        )
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return floors if sound else {}


def _write(path: Path, floors: dict[int, NgramFloor]) -> None:
    """Atomic: readers see the old file or the new one, whoever else writes it."""
    text = json.dumps({order: asdict(floor) for order, floor in floors.items()}, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError:
        return
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
