"""A permutation without an array of it, against one whole number at a time."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from charlab.data.order import permuted, random_words


def feistel(position, num_items, keys):
    """Black & Rogaway's generalised Feistel network, one whole number at a time."""
    width = 1
    while width**2 < num_items:
        width += 1
    height = -(-num_items // width)

    def hashed(word):
        mask = 2**64 - 1
        word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & mask
        word = (word ^ (word >> 27)) * 0x94D049BB133111EB & mask
        return word ^ (word >> 31)

    while True:
        i, j = divmod(position, width)
        for round_number, key in enumerate(keys):
            if round_number % 2 == 0:
                i = (i + hashed(j ^ key)) % height
            else:
                j = (j + hashed(i ^ key)) % width
        position = i * width + j
        if position < num_items:
            return position


@settings(max_examples=150, deadline=None)
@given(num_items=st.integers(1, 500), seed=st.integers(0, 2**63 - 1))
def test_a_permutation_without_an_array_of_it(num_items, seed):
    whole = permuted(np.arange(num_items), num_items, seed, 1)
    keys = random_words(6, seed, 1).tolist()
    assert sorted(whole.tolist()) == list(range(num_items))
    assert whole.tolist() == [feistel(place, num_items, keys) for place in range(num_items)]
    some = np.arange(num_items)[::3]
    assert permuted(some, num_items, seed, 1).tolist() == whole[::3].tolist()


def test_a_permutation_of_more_than_memory_holds():
    num_items = 2**45 + 12345
    items = permuted(np.arange(num_items - 2000, num_items), num_items, 0)
    assert len(set(items.tolist())) == 2000
    assert 0 <= items.min() < 0.01 * num_items
    assert 0.99 * num_items < items.max() < num_items
    assert abs(items.mean() / num_items - 0.5) < 0.03


def test_all_permutations_of_a_few_are_as_likely():
    drawn = Counter(tuple(permuted(np.arange(4), 4, seed).tolist()) for seed in range(2400))
    assert len(drawn) == 24
    assert sum((count - 100) ** 2 / 100 for count in drawn.values()) < 50  # chi2(23), p = 0.001
