"""The one shuffle of charlab's data: a pure function of integers, on every platform for ever."""

import numpy as np
from numpy.typing import NDArray


def shuffled(num_items: int, *seeds: int) -> NDArray[np.int64]:
    """A permutation of range(num_items), the same for the same seeds.

    Sorts one raw 64-bit word of PCG64 an item. numpy promises that raw words and SeedSequence stay
    as they are, but not that `Generator.permutation` does (NEP 19).
    """
    words = np.random.PCG64(np.random.SeedSequence(seeds)).random_raw(num_items)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)
