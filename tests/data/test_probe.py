"""The batch of validation that a model is measured on while it trains."""

from itertools import islice

import numpy as np
import pytest

from charlab.data.epochs import ONE_PROCESS
from charlab.data.names import NamesCorpus
from charlab.data.names_module import NamesDataModule
from charlab.data.vocabulary import Vocabulary
from charlab.types import IGNORE
from charlab.world import World

from . import streams

TRAIN, VAL = ("abc", "b"), ("a", "bca", "ab", "cccc", "b")
VOCABULARY = Vocabulary.of(TRAIN)  # a is 4, b 5, c 6


def names_module(world=ONE_PROCESS):
    corpus = NamesCorpus(TRAIN, VAL, ("c",), "made up", num_lines=8, num_blank=0, num_duplicates=0)
    return NamesDataModule(corpus, VOCABULARY, 2, 0, world)


def test_names_are_taken_from_all_over_validation():
    batch = names_module().probe(3, 10)
    # BOS 1, EOS 2, PAD 0; the first, the middle and the last
    assert batch.inputs_TB.T.tolist() == [[1, 4, 0], [1, 4, 5], [1, 5, 0]]
    assert batch.targets_TB.T.tolist() == [[4, 2, IGNORE], [4, 5, 2], [5, 2, IGNORE]]
    assert batch.reset_B.tolist() == [True] * 3


def test_there_are_no_more_names_than_validation_has_and_no_more_steps_than_asked_for():
    batch = names_module().probe(100, 2)
    assert batch.inputs_TB.T.tolist() == [[1, 4], [1, 5], [1, 4], [1, 6], [1, 5]]
    assert batch.targets_TB.T.tolist() == [[4, 2], [5, 6], [4, 5], [6, 6], [5, 2]]


def test_windows_are_taken_from_all_over_validation(tmp_path):
    module = streams.module(streams.numbered(tmp_path, 50, num_val=21))
    batch = module.probe(3, 5)
    # validation is 50 ... 70
    assert batch.inputs_TB.T.tolist() == [list(range(start, start + 5)) for start in (50, 57, 65)]
    assert batch.targets_TB.T.tolist() == [list(range(start, start + 5)) for start in (51, 58, 66)]
    assert batch.reset_B.tolist() == [True] * 3


@pytest.mark.parametrize(("num_val", "rows", "steps"), [(6, 1, 5), (8, 3, 5), (2, 1, 1)])
def test_a_short_validation_has_fewer_windows_or_shorter_ones(tmp_path, num_val, rows, steps):
    module = streams.module(streams.numbered(tmp_path, 50, num_val=num_val))
    batch = module.probe(100, 5)
    assert batch.inputs_TB.shape == (steps, rows)
    assert batch.targets_TB.max() == 50 + num_val - 1
    assert np.all(np.diff(batch.inputs_TB.numpy(), axis=1) == 1)


@pytest.mark.parametrize("kind", ["names", "stream"])
def test_it_moves_no_loader_and_is_that_of_every_process(tmp_path, kind):
    def module(world=ONE_PROCESS):
        if kind == "names":
            return names_module(world)
        return streams.module(streams.numbered(tmp_path, 50, num_val=21), world=world, seq_len=4)

    whole = module()
    wanted = [streams.plain(batch) for batch in whole.val_dataloader()]
    loader = iter(whole.val_dataloader())
    found = [streams.plain(batch) for batch in islice(loader, 1)]
    probe = streams.plain(whole.probe(3, 4))
    assert found + [streams.plain(batch) for batch in loader] == wanted
    assert streams.plain(module(World(1, 2)).probe(3, 4)) == probe
