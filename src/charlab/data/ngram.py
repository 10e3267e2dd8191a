"""Interpolated Witten-Bell n-grams over flat arrays of ids: the floor a network has to beat.

    p_0(c)      = 1 / num_symbols
    p_k(c | h)  = (n(h, c) + T(h) p_{k-1}(c | h')) / (n(h) + T(h)),   h the last k - 1 symbols

n(h, c) counts c after h in the training ids, n(h) = sum_c n(h, c), T(h) is the number of distinct
c with n(h, c) > 0, and h' is h without its oldest symbol. An unseen h leaves p_{k-1} as it is, and
so does one that reaches past the boundary before a document: with the boundary repeated, the same
counts would be mixed in once a repetition.
Witten & Bell 1991, method C, in the interpolated form of Chen & Goodman 1999.

Knows neither names nor files: `ngram_floors.py` fits it to a corpus of names.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@final
@dataclass(frozen=True)
class _Level:
    """The counts of one context length. A context is a row; -1 is one that training lacks.

    keys    sorted (row of the context without its oldest symbol) * radix + oldest symbol
    totals  n(h) of each row         distinct  T(h) of each row
    pairs   sorted row * radix + c   counts    n(h, c) of each pair
    """

    keys: Ids
    totals: Ids
    distinct: Ids
    pairs: Ids
    counts: Ids


@final
class NgramModel:
    """p(c | the order - 1 symbols before it), for ids in range(num_symbols).

    Data are flat: document d is `ids[offsets[d] : offsets[d + 1]]`, offsets run from 0 to
    len(ids). Every id is predicted; a context never leaves its document, before whose first id lies
    one boundary symbol that is never predicted.
    """

    def __init__(self, order: int, num_symbols: int) -> None:
        assert order >= 1
        assert num_symbols >= 1
        self.order = order
        self.num_symbols = num_symbols
        self._boundary = num_symbols
        self._radix = num_symbols + 1
        self._levels: list[_Level] = []

    def fit(self, ids: Ids, offsets: Ids) -> None:
        """Counts `ids` in O(order * n log n) for n ids; replaces what was counted before."""
        assert len(ids) > 0
        assert 0 <= ids.min() <= ids.max() < self.num_symbols
        self._levels = []
        positions = _positions_in_documents(len(ids), offsets)
        rows = np.zeros(len(ids), np.int64)
        for context_length in range(self.order):
            if context_length == 0:
                keys = np.zeros(1, np.int64)
            else:
                # Rows are numbered anew at each length, so a key stays below len(ids) * radix
                # however long the context: no overflow, no collisions.
                keys, rows = np.unique(
                    rows * self._radix + self._earlier(ids, positions, context_length),
                    return_inverse=True,
                )
            pairs, counts = np.unique(rows * self._radix + ids, return_counts=True)
            self._levels.append(
                _Level(
                    keys=keys,
                    totals=np.bincount(rows, minlength=len(keys)),
                    distinct=np.bincount(pairs // self._radix, minlength=len(keys)),
                    pairs=pairs,
                    counts=counts,
                )
            )

    def score(self, ids: Ids, offsets: Ids) -> tuple[float, int]:
        """(-sum of ln p over all ids, in nats; the number of ids)."""
        nats, num_targets = self.score_orders(ids, offsets)
        return nats[-1], num_targets

    def score_orders(self, ids: Ids, offsets: Ids) -> tuple[list[float], int]:
        """As `score`, the nats for each order from 1 to `order`: the recursion passes them all."""
        assert self._levels, "fit first"
        positions = _positions_in_documents(len(ids), offsets)
        probabilities = np.full(len(ids), 1.0 / self.num_symbols)
        rows = np.zeros(len(ids), np.int64)
        nats: list[float] = []
        for context_length, level in enumerate(self._levels):
            if context_length > 0:
                oldest = self._earlier(ids, positions, context_length)
                keys = np.where(rows >= 0, rows * self._radix + oldest, -1)
                rows = _find(level.keys, keys)
            found = _find(level.pairs, np.where(rows >= 0, rows * self._radix + ids, -1))
            counts = np.where(found >= 0, level.counts[found], 0)
            totals, distinct = level.totals[rows], level.distinct[rows]
            mixed = (counts + distinct * probabilities) / np.maximum(totals + distinct, 1)
            usable = (rows >= 0) & (positions >= context_length - 1)
            probabilities = np.where(usable, mixed, probabilities)
            nats.append(float(-np.log(probabilities).sum()))
        return nats, len(ids)

    def _earlier(self, ids: Ids, positions: Ids, distance: int) -> Ids:
        """The id `distance` before each position, the boundary where its document is younger."""
        earlier = np.full(len(ids), self._boundary, np.int64)
        inside = positions[distance:] >= distance
        earlier[distance:][inside] = ids[:-distance][inside]
        return earlier


def _positions_in_documents(num_ids: int, offsets: Ids) -> Ids:
    return np.arange(num_ids) - np.repeat(offsets[:-1], np.diff(offsets))


def _find(haystack: Ids, needles: Ids) -> Ids:
    """The index of each needle in the sorted haystack, -1 where it is not there."""
    indices = np.searchsorted(haystack, needles)
    indices[indices == len(haystack)] = 0
    return np.where(haystack[indices] == needles, indices, -1)
