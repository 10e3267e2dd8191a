"""Who is pruned, against the rule in words and by hand."""

import random

import pytest

from charlab.sweeps.definition.hyperband import Hyperband, read_hyperband


@pytest.mark.parametrize(
    ("given", "rungs"),
    [
        ({"min_iter": 2}, (2, 6, 18, 54)),
        ({"min_iter": 3, "eta": 2}, (3, 6, 12, 24)),
        ({"min_iter": 4, "eta": 1.5}, (4, 6, 9, 13)),
        ({"max_iter": 27, "s": 2}, (3, 9)),
        ({"max_iter": 10, "s": 3, "eta": 2}, (1, 2, 5)),
        ({"max_iter": 10, "s": 9, "eta": 3}, (1, 3)),
    ],
)
def test_rungs(given, rungs):
    assert read_hyperband({"type": "hyperband", **given}).rungs[:4] == rungs


def by_counting(hyperband, trial, others):
    """In words: a trial goes on while no more than 1/eta of all at its last rung are better."""
    passed = [rung for rung in hyperband.rungs if rung <= len(trial)]
    if not passed:
        return False
    there = [values[passed[-1] - 1] for values in [*others, trial] if len(values) >= passed[-1]]
    mine = trial[passed[-1] - 1] if hyperband.is_strict else min(trial)
    return sum(value < mine for value in there) * hyperband.eta > len(there)


@pytest.mark.parametrize("is_strict", [True, False])
def test_one_of_eta_goes_on(is_strict):
    generator = random.Random(0)
    stopped = 0
    for _ in range(400):
        hyperband = Hyperband((1, 3, 9), generator.choice([2, 3, 4]), is_strict)
        lengths = [generator.randint(1, 12) for _ in range(generator.randint(1, 9))]
        # of few values, so that some are equal
        trial, *others = [[generator.randint(0, 9) for _ in range(length)] for length in lengths]
        found = hyperband.stops(trial, others)
        assert found == by_counting(hyperband, trial, others)
        stopped += found
    assert 20 < stopped < 380


def test_by_hand():
    hyperband = Hyperband((2, 6), 3, True)
    others = [[5, 4, 3], [5, 3, 2], [5, 2, 1]]
    assert not hyperband.stops([9], others), "no rung yet"
    assert not hyperband.stops([9, 2.5], others), "the second of four: the limit is the second"
    assert hyperband.stops([9, 3.5], others)
    assert hyperband.stops([9, 3.5, 0], others), "the value at the rung counts"
    assert not Hyperband((2, 6), 3, False).stops([9, 3.5, 0], others), "the best one counts"
    assert not hyperband.stops([9, 9], []), "the first one there goes on"
    assert not hyperband.stops([9, 9], [[1]]), "who has not come there does not count"
