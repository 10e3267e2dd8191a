"""Interpolated Witten-Bell n-grams over flat arrays of ids: the floor a network has to beat.

    p_0(c)      = 1 / num_symbols
    p_k(c | h)  = (n(h, c) + T(h) p_{k-1}(c | h')) / (n(h) + T(h)),   h the last k - 1 symbols

n(h, c) counts c after h in the training ids, n(h) = sum_c n(h, c), T(h) is the number of distinct
c with n(h, c) > 0, and h' is h without its oldest symbol. An unseen h leaves p_{k-1} as it is, and
so does one that reaches past the beginning of its document.
Witten & Bell 1991, method C, in the interpolated form of Chen & Goodman 1999.

Knows neither names nor streams: `ngram_floors.py` and `stream_floors.py` fit it to them.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from charlab.data.order import Ids

_Rows = NDArray[np.int32]
_Mask = NDArray[np.bool_]
_NOWHERE = -1


@final
@dataclass(frozen=True)
class _Level:
    """The sequences of k symbols in the training ids; a row is an index into `grams`.

    grams     sorted (row of the first k - 1 symbols, a level below) * radix + the last symbol
    counts    n(h, c) of each, where c is its last symbol and h are the others
    totals    n(h) of each row a level below       distinct  T(h) of each row a level below
    """

    grams: Ids
    counts: _Rows
    totals: _Rows
    distinct: _Rows


@final
class NgramModel:
    """p(c | the order - 1 symbols before it), for c in range(num_symbols).

    Data are flat: document d is `ids[offsets[d] : offsets[d + 1]]`, offsets run from 0 to
    len(ids), and no document is empty. Its first id is context, never predicted; it may be
    `num_symbols`, a mark that opens a document. No context reaches out of its document.
    """

    def __init__(self, order: int, num_symbols: int) -> None:
        assert order >= 1
        assert num_symbols >= 1
        self.order = order
        self.num_symbols = num_symbols
        self._radix = num_symbols + 1
        self._levels: list[_Level] = []

    def fit(self, ids: Ids, offsets: Ids) -> None:
        """Counts `ids`, fewer than 2^31; replaces what was counted before.

        O(order * n log n) for n ids, with about 70 bytes an id of memory on the way.
        """
        assert 0 < len(ids) < 2**31
        assert 0 <= ids.min() <= ids.max() <= self.num_symbols
        self._levels = []
        is_first = _leading(offsets, 1)
        contexts = np.zeros(len(ids), np.int32)
        num_contexts = 1
        for _ in range(self.order):
            inside = contexts != _NOWHERE
            # Rows are numbered anew at each length, so a gram stays below len(ids) * radix
            # however long it is: no overflow, no collisions.
            grams, found = np.unique(
                self._grams(contexts[inside], ids[inside]), return_inverse=True
            )
            rows = np.full(len(ids), _NOWHERE, np.int32)
            rows[inside] = found
            del found  # at millions of ids every array counts
            is_target = inside & ~is_first
            counts = _histogram(rows[is_target], len(grams))
            self._levels.append(
                _Level(
                    grams=grams,
                    counts=counts,
                    totals=_histogram(contexts[is_target], num_contexts),
                    distinct=_histogram(grams[counts > 0] // self._radix, num_contexts),
                )
            )
            contexts, num_contexts = _before(rows, is_first), len(grams)
            if (contexts == _NOWHERE).all():
                break  # no document is longer

    def score_orders(self, ids: Ids, offsets: Ids, num_context: int = 1) -> tuple[list[float], int]:
        """(-sum of ln p in nats for each order from 1 to `order`, number of ids predicted).

        The first num_context >= 1 ids of each document are context only. So a long document can
        be scored in blocks: each begins with the order - 1 ids before it as context.
        """
        assert self._levels, "fit first"
        assert num_context >= 1
        is_first = _leading(offsets, 1)
        is_scored = ~_leading(offsets, num_context)
        probabilities = np.full(len(ids), 1.0 / self.num_symbols)
        contexts = np.zeros(len(ids), np.int32)
        nats: list[float] = []
        for level in self._levels:
            inside = contexts != _NOWHERE
            found = _find(level.grams, self._grams(contexts, ids))
            rows = np.where(inside, found, _NOWHERE).astype(np.int32)
            counts = np.where(rows != _NOWHERE, level.counts[rows], 0)
            totals, distinct = level.totals[contexts], level.distinct[contexts]
            seen = inside & (totals > 0)  # the last symbols of train have nothing after them
            mixed = (counts + distinct * probabilities) / np.maximum(totals + distinct, 1)
            probabilities = np.where(seen, mixed, probabilities)
            nats.append(float(-np.log(probabilities[is_scored]).sum()))
            contexts = _before(rows, is_first)
        nats += nats[-1:] * (self.order - len(nats))
        return nats, int(is_scored.sum())

    def _grams(self, contexts: _Rows, ids: Ids) -> Ids:
        return contexts.astype(np.int64) * self._radix + ids


def _leading(offsets: Ids, num_leading: int) -> _Mask:
    """True at the first num_leading ids of each document."""
    lengths = np.diff(offsets)
    assert (lengths > 0).all()
    leading = np.zeros(offsets[-1], np.bool_)
    for distance in range(num_leading):
        leading[offsets[:-1][lengths > distance] + distance] = True
    return leading


def _before(rows: _Rows, is_first: _Mask) -> _Rows:
    """The row of the gram that ends just before each id, nowhere at the first of a document."""
    before = np.roll(rows, 1)
    before[is_first] = _NOWHERE
    return before


def _histogram(rows: NDArray[np.signedinteger], num_rows: int) -> _Rows:
    return np.bincount(rows, minlength=num_rows).astype(np.int32)


def _find(haystack: Ids, needles: Ids) -> Ids:
    """The index of each needle in the sorted haystack, -1 where it is not there."""
    indices = np.searchsorted(haystack, needles)
    indices[indices == len(haystack)] = 0
    return np.where(haystack[indices] == needles, indices, _NOWHERE)
