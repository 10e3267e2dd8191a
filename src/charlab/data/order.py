"""The orders of charlab's data: pure functions of integers, on every platform for ever."""

import math

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Words = NDArray[np.uint64]

# Enough batches for each to be of nearly one length, few enough for epochs to differ.
POOL_BATCHES = 16

# Of `permuted`. Four are enough where the hash is random (Luby & Rackoff 1988), ours only looks so.
NUM_ROUNDS = 6


def random_words(num_words: int, *seeds: int) -> Words:
    """64-bit words, the same for the same seeds.

    numpy promises that the raw words of PCG64 and SeedSequence stay as they are, but not that the
    distributions of `Generator` do (NEP 19).
    """
    words: Words = np.random.PCG64(np.random.SeedSequence(seeds)).random_raw(num_words)
    return words


def shuffled(num_items: int, *seeds: int) -> Ids:
    """A permutation of range(num_items), the same for the same seeds: sorts one word an item."""
    words = random_words(num_items, *seeds)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)


def permuted(positions: Ids, num_items: int, *seeds: int) -> Ids:
    """Where a permutation of range(num_items) takes these positions, without an array of it.

    A generalised Feistel network (Black & Rogaway 2002, "Ciphers with arbitrary finite domains",
    section 5): a position is a pair i * width + j with i < height and j < width, and each round
    adds to one half a hash of the other. That can be taken away again, so each round permutes the
    pairs. What lands on num_items or beyond goes through again until it lands within ("cycle
    walking", section 4); there are fewer than `width` such pairs, so hardly anything does.
    """
    width = math.isqrt(num_items - 1) + 1
    height = -(-num_items // width)
    keys = random_words(NUM_ROUNDS, *seeds)
    items = positions.astype(np.uint64)
    outside = np.ones(len(items), bool)
    while outside.any():
        i, j = items[outside] // width, items[outside] % width
        for even, odd in keys.reshape(-1, 2):
            i = (i + _hashed(j ^ even) % height) % height
            j = (j + _hashed(i ^ odd) % width) % width
        items[outside] = i * width + j
        outside = items >= num_items
    return items.astype(np.int64)


def _hashed(words: Words) -> Words:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014, variant 13 of Stafford's)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


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
