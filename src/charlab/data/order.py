"""The orders of charlab's data: pure functions of integers, on every platform for ever."""

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]

# Enough batches for each to be of nearly one length, few enough for epochs to differ.
POOL_BATCHES = 16


def shuffled(num_items: int, *seeds: int) -> Ids:
    """A permutation of range(num_items), the same for the same seeds.

    Sorts one raw 64-bit word of PCG64 an item. numpy promises that raw words and SeedSequence stay
    as they are, but not that `Generator.permutation` does (NEP 19).
    """
    words = np.random.PCG64(np.random.SeedSequence(seeds)).random_raw(num_items)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)


def alike_in_batches(order: Ids, lengths: Ids, batch_size: int, *seeds: int) -> Ids:
    """The items of an order again, so that a batch holds items of nearly one length.

    lengths  of the items that `order` names

    Names are short and their lengths spread: a batch of any lengths is half padding. So each
    POOL_BATCHES batches' worth of the order is sorted by length, the whole is cut into batches, and
    the batches are shuffled; what is left of the last one stays last.
    """
    pool = POOL_BATCHES * batch_size
    alike = [
        part[np.argsort(lengths[part], kind="stable")]
        for part in np.split(order, range(pool, len(order), pool))
    ]
    items = np.concatenate(alike)
    num_full = len(items) // batch_size
    full, rest = items[: num_full * batch_size], items[num_full * batch_size :]
    shuffled_batches = full.reshape(num_full, batch_size)[shuffled(num_full, *seeds)]
    return np.concatenate([shuffled_batches.ravel(), rest])
