"""The loaders of a stream against slow ones made of lists, over processes and epochs."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlab.data import stream_module
from charlab.data.order import permuted
from charlab.errors import UsageError
from charlab.types import IGNORE
from charlab.world import World

from .streams import MODES, config, epoch, module, numbered, plain, side_by_side

PROPERTY = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stream")


@pytest.fixture
def parts(folder):
    return numbered(folder, 500)


def words(count, *seeds):
    return np.random.PCG64(np.random.SeedSequence(seeds)).random_raw(count).tolist()


def slow_epoch(text, mode, seed, number, num_rows, num_steps, reset_prob):
    """What an epoch holds, from the description: lists of rows (inputs, targets, reset)."""
    usable = len(text) - (mode != "within")
    num_windows = usable // num_steps
    num_batches = num_windows // num_rows
    if mode == "lanes":
        rest = usable - num_batches * num_rows * num_steps
    else:
        rest = usable - num_windows * num_steps
    text = text[words(1, seed, number, 1)[0] % (rest + 1) :]
    windows = [text[w * num_steps : (w + 1) * num_steps + 1] for w in range(num_windows)]
    if mode == "within":
        windows = [window[:num_steps] for window in windows]
    if mode == "lanes":
        lanes = [windows[lane * num_batches :][:num_batches] for lane in range(num_rows)]
        batches = list(zip(*lanes))
    else:
        order = permuted(np.arange(num_windows), num_windows, seed, number, 3)
        shuffled = [windows[window] for window in order]
        batches = [shuffled[k * num_rows :][:num_rows] for k in range(num_batches)]
    result = []
    for k, batch in enumerate(batches):
        draws = [word / 2**64 < reset_prob for word in words(num_rows, seed, number, 2, k)]
        resets = draws if mode == "lanes" and k > 0 else [True] * num_rows
        result.append([(w[:-1], w[1:], reset) for w, reset in zip(batch, resets, strict=True)])
    return result


# ---------------------------------------------------------------------------------------- training
def test_lanes_by_hand(folder):
    loader = module(numbered(folder, 13), batch_size=2, seq_len=3, reset_prob=0).train_dataloader()
    # 12 targets, 2 lanes of 2 windows of 3: nothing is left out
    assert (loader.lanes, loader.left_out, len(loader), loader.mean_targets) == (2, 0, 2, 6.0)
    assert epoch(loader) == [
        [([0, 1, 2], [1, 2, 3], True), ([6, 7, 8], [7, 8, 9], True)],
        [([3, 4, 5], [4, 5, 6], False), ([9, 10, 11], [10, 11, 12], False)],
    ]


def test_windows_by_hand(folder):
    """The enwik8 notebook's: 99 characters of each 100 are predicted, here 3 of 4."""
    options = {"batch_size": 2, "seq_len": 4, **MODES["within"]}
    loader = module(numbered(folder, 8), **options).train_dataloader()
    assert (loader.lanes, loader.left_out, len(loader), loader.mean_targets) == (2, 0, 1, 6.0)
    (batch,) = epoch(loader)
    assert sorted(batch) == [([0, 1, 2], [1, 2, 3], True), ([4, 5, 6], [5, 6, 7], True)]


@pytest.mark.parametrize("mode", MODES)
@PROPERTY
@given(
    read_steps=st.sampled_from([1, 7, 1000]),
    extra=st.integers(0, 150),
    batch_size=st.integers(1, 4),
    seq_len=st.integers(2, 9),
    size=st.integers(1, 3),
    seed=st.integers(0, 2**63 - 1),
)
def test_epochs_are_those_of_lists(
    folder, mode, read_steps, extra, batch_size, seq_len, size, seed
):
    """On every process; together they read what one with as many rows reads."""
    num_rows = batch_size * size
    parts = numbered(folder, num_rows * seq_len + 1 + extra)
    options = {"seq_len": seq_len, "reset_prob": 0.3, **MODES[mode]}
    text = list(range(parts.cuts[1]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_module, "READ_STEPS", read_steps)
        one = module(parts, seed, batch_size=num_rows, **options).train_dataloader()
        several = [
            module(parts, seed, World(rank, size), batch_size=batch_size, **options)
            for rank in range(size)
        ]
        several = [data.train_dataloader() for data in several]
        for number in range(2):
            expected = slow_epoch(text, mode, seed, number, num_rows, seq_len, 0.3)
            assert epoch(one) == expected
            ranks = [epoch(loader) for loader in several]
            assert side_by_side(ranks) == expected
    for loader in several:
        assert len(loader) == len(one) == len(expected)
        assert (loader.lanes, loader.left_out) == (one.lanes, one.left_out)
        assert loader.mean_targets == sum(len(row[1]) for row in expected[0]) / size


def test_a_batch_of_lanes_goes_on_where_the_one_before_ended(parts):
    batches = list(module(parts, batch_size=3, seq_len=10).train_dataloader())
    for before, after in pairwise(batches):
        assert torch.equal(before.targets_TB[-1], after.inputs_TB[0])
    assert batches[0].reset_B.all()


@pytest.mark.parametrize("mode", MODES)
def test_tensors_are_what_a_model_takes(parts, mode):
    options = {"batch_size": 3, "seq_len": 10, **MODES[mode]}
    batch = next(iter(module(parts, **options).train_dataloader()))
    num_steps = 9 if mode == "within" else 10
    for tensor in (batch.inputs_TB, batch.targets_TB):
        assert (tensor.dtype, tensor.shape) == (torch.int64, (num_steps, 3))
        assert tensor.is_contiguous()
    assert (batch.reset_B.dtype, batch.reset_B.shape) == (torch.bool, (3,))


def test_only_train_is_trained_on(folder):
    """Whatever stands before it in the file or after it."""
    parts = numbered(folder, 40, num_val=50, num_test=60)
    data = module(parts, batch_size=1, seq_len=3, stateful=False, eval_lanes=1)
    for split, loader in [
        ("train", data.train_dataloader()),
        ("val", data.val_dataloader()),
        ("test", data.test_dataloader()),
        ("train", data.eval_dataloader("train")),
    ]:
        start, stop = parts.bounds(split)
        rows = [row for batch in loader for row in plain(batch)]
        seen = {symbol for inputs, targets, _ in rows for symbol in inputs + targets}
        assert seen == set(range(start, stop))


def test_a_train_split_that_is_too_short(parts):
    data = module(parts, world=World(1, 2), batch_size=50, seq_len=5)
    with pytest.raises(UsageError, match="too short for one batch") as caught:
        data.train_dataloader()
    assert "at least 501 symbols: data.batch_size=50 x 2 process(es) x" in caught.value.expected
    assert data.val_dataloader() is not None


# -------------------------------------------------------------------------------------- evaluation
def test_scoring_by_hand(folder):
    parts = numbered(folder, 20, num_val=9)  # symbols 20 ... 28: 8 targets
    data = module(parts, eval_lanes=2, eval_window=3, eval_warmup=2)
    assert data.num_eval_lanes("val") == 2
    none, loader = IGNORE, data.val_dataloader()
    assert len(loader) == 3
    # the first lane waits while the second warms up on 22 and 23
    waits, *rest = epoch(loader)
    assert waits[0][1:] == ([none, none], False)
    assert waits[1] == ([22, 23], [none, none], True)
    assert rest == [
        [([20, 21, 22], [21, 22, 23], True), ([24, 25, 26], [25, 26, 27], False)],
        [([23], [24], False), ([27], [28], False)],
    ]


@PROPERTY
@given(
    num_val=st.integers(2, 120),
    eval_lanes=st.integers(1, 12),
    eval_window=st.integers(1, 40),
    eval_warmup=st.integers(0, 20),
    size=st.integers(1, 5),
)
def test_processes_score_every_symbol_once(
    folder, num_val, eval_lanes, eval_window, eval_warmup, size
):
    """The same lanes whatever the number of processes, and equally many batches for each."""
    parts = numbered(folder, 30, num_val=num_val)
    options = {"eval_lanes": eval_lanes, "eval_window": eval_window, "eval_warmup": eval_warmup}
    one = module(parts, **options)
    several = [module(parts, world=World(rank, size), **options) for rank in range(size)]
    whole = epoch(one.val_dataloader())
    ranks = [epoch(data.val_dataloader()) for data in several]
    num_lanes = one.num_eval_lanes("val")
    for rank, (data, batches) in enumerate(zip(several, ranks, strict=True)):
        assert data.num_eval_lanes("val") == num_lanes
        assert len(data.val_dataloader()) == len(batches) == len(whole)
        if rank < num_lanes:
            assert batches == [batch[rank::size] for batch in whole]
        else:
            assert all(len(batch) == 1 and set(batch[0][1]) == {IGNORE} for batch in batches)
    targets = [
        target
        for batches in ranks
        for batch in batches
        for _, row, _ in batch
        for target in row
        if target != IGNORE
    ]
    assert sorted(targets) == list(range(31, 30 + num_val))


def test_what_is_scored_depends_on_no_option_of_training(parts):
    expected = epoch(module(parts, eval_window=4).test_dataloader())
    for options in ({"batch_size": 7}, MODES["within"], {"reset_prob": 1}, {"seq_len": 9}):
        assert epoch(module(parts, eval_window=4, **options).test_dataloader()) == expected


def test_the_default_lanes_of_a_small_split(folder):
    data = module(numbered(folder, 30, num_val=3000, num_test=999))
    assert config().eval_warmup == 1000
    assert (data.num_eval_lanes("val"), data.num_eval_lanes("test")) == (2, 1)
