"""Every symbol is a target exactly once: what is read, predicted and forgotten, by plain lists."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlab.data.lanes import CarriedLanes, EvalLanes, ShuffledWindows, train_cut
from charlab.errors import UsageError
from charlab.world import World

from .streams import config

PROPERTY = settings(max_examples=150, deadline=None)
SIZES = {"num_rows": st.integers(1, 6), "num_steps": st.integers(2, 9)}
SEEDS = {"seed": st.integers(0, 2**63 - 1), "epoch": st.integers(0, 1000)}


def cut_of(kind, extra, num_rows, num_steps):
    """A cut with at least one batch: `extra` symbols more than it takes."""
    across = kind != "within"
    size = num_rows * num_steps + across + extra
    if kind == "lanes":
        return CarriedLanes(size, num_rows, num_steps, across, 0.25)
    return ShuffledWindows(size, num_rows, num_steps, across)


def starts_of(cut, seed, epoch):
    """One list a batch: where the window of each of its rows begins."""
    rows = np.arange(cut.num_rows)
    return [cut.starts(seed, epoch, batch, rows).tolist() for batch in range(cut.num_batches)]


# ---------------------------------------------------------------------------------------- training
@pytest.mark.parametrize("kind", ["lanes", "windows", "within"])
@PROPERTY
@given(extra=st.integers(0, 300), **SIZES, **SEEDS)
def test_every_symbol_is_in_one_window_but_for_the_stated_rest(kind, extra, seed, epoch, **sizes):
    cut = cut_of(kind, extra, **sizes)
    starts = [start for batch in starts_of(cut, seed, epoch) for start in batch]
    num_steps, last = cut.num_steps, cut.num_symbols - 1
    read = Counter(start + step for start in starts for step in range(num_steps))
    assert set(read.values()) == {1}
    assert 0 <= min(read) <= max(read) <= (last - 1 if cut.across else last)
    assert cut.left_out == cut.num_symbols - cut.across - len(read)
    assert cut.left_out < cut.num_rows * num_steps
    predicted = Counter(start + t for start in starts for t in range(1, cut.num_read))
    assert set(predicted.values()) == {1}
    assert len(predicted) == len(starts) * (num_steps if cut.across else num_steps - 1)
    # cut at one regular grid
    assert len({start % num_steps for start in starts}) == 1


@PROPERTY
@given(extra=st.integers(0, 300), **SIZES, **SEEDS)
def test_a_lane_goes_on_where_it_ended(extra, seed, epoch, num_rows, num_steps):
    cut = cut_of("lanes", extra, num_rows, num_steps)
    batches = starts_of(cut, seed, epoch)
    for before, after in pairwise(batches):
        assert after == [start + num_steps for start in before]
    # and a lane begins where the one beside it ends
    ends = [start + num_steps for start in batches[-1]]
    assert batches[0][1:] == ends[:-1]
    # the first lane at an offset, which leaves the rest of what is left out behind the last
    assert 0 <= batches[0][0] <= cut.left_out
    assert ends[-1] + 1 + cut.left_out - batches[0][0] == cut.num_symbols


@pytest.mark.parametrize("kind", ["lanes", "windows", "within"])
@PROPERTY
@given(extra=st.integers(0, 60), size=st.integers(1, 4), own=st.integers(1, 4), **SEEDS)
def test_processes_share_the_rows_of_one(kind, extra, size, own, seed, epoch):
    cut = cut_of(kind, extra, size * own, 3)
    whole = np.arange(size * own)
    shares = np.split(whole, size)
    for batch in range(cut.num_batches):
        for ask in (cut.starts, cut.resets):
            together = ask(seed, epoch, batch, whole).tolist()
            apart = [value for rows in shares for value in ask(seed, epoch, batch, rows).tolist()]
            assert apart == together


@pytest.mark.parametrize("kind", ["lanes", "windows", "within"])
def test_each_epoch_cuts_elsewhere_and_leaves_out_others(kind):
    cut = cut_of(kind, 31, 4, 5)
    usable = set(range(cut.num_symbols - cut.across))
    first, left_out = set(), set()
    for epoch in range(200):
        starts = [start for batch in starts_of(cut, 7, epoch) for start in batch]
        first.add(min(starts))
        left_out |= usable - {start + step for start in starts for step in range(5)}
        assert starts == [start for batch in starts_of(cut, 7, epoch) for start in batch]
    limit = cut.left_out if kind == "lanes" else len(usable) % 5
    assert first >= set(range(limit + 1))
    if kind == "lanes":
        # all of them in turn at the two ends: no window lies in the middle of nothing
        assert left_out == usable - set(range(cut.left_out, len(usable) - cut.left_out))
    else:
        assert left_out == usable
    assert starts_of(cut, 7, 0) != starts_of(cut, 8, 0)


def test_windows_come_in_another_order_each_epoch():
    cut = cut_of("windows", 3 * 500, 1, 3)
    epochs = [np.array(starts_of(cut, 0, epoch)).ravel() // 3 for epoch in range(3)]
    for order in epochs:
        assert len(set(order.tolist())) == 501
        assert abs(np.corrcoef(order, np.arange(501))[0, 1]) < 0.2
    assert abs(np.corrcoef(epochs[0], epochs[1])[0, 1]) < 0.2


@pytest.mark.parametrize("probability", [0, 0.01, 0.25, 1])
def test_lanes_forget_at_the_start_and_then_with_their_probability(probability):
    cut = CarriedLanes(50 * 400 * 2 + 1, 50, 2, True, probability)
    rows = np.arange(50)
    resets = np.array([cut.resets(3, 1, batch, rows) for batch in range(400)])
    assert resets[0].all()
    assert abs(resets[1:].mean() - probability) <= 4 * (probability / 20000) ** 0.5
    if 0 < probability < 1:
        other = np.array([cut.resets(3, 2, batch, rows) for batch in range(400)])
        assert (other != resets).any()
        assert len({tuple(row) for row in resets[1:]}) > 300 * probability**0.5


def test_windows_of_their_own_always_forget():
    for batch in range(5):
        assert cut_of("windows", 100, 3, 4).resets(0, 0, batch, np.arange(3)).all()


def test_the_order_stays_as_it_is():
    """Runs that were begun go on: what a seed means never changes."""
    rows = np.arange(3)
    lanes = CarriedLanes(1000, 3, 10, True, 0.3)
    windows = ShuffledWindows(1000, 3, 10, True)
    assert [lanes.starts(1, epoch, 4, rows)[0] for epoch in (1, 2)] == [42, 40]
    resets = [lanes.resets(1, 2, batch, rows).tolist() for batch in (1, 2, 3)]
    assert resets == [[True, True, False], [True, False, False], [False, True, False]]
    assert windows.starts(1, 1, 4, rows).tolist() == [142, 712, 672]
    assert windows.starts(1, 2, 4, rows).tolist() == [880, 670, 400]


def test_reset_probability_and_offset_are_words_of_pcg64():
    """By numpy itself, from the description."""
    cut = CarriedLanes(1000, 3, 10, True, 0.3)

    def words(count, *seeds):
        return np.random.PCG64(np.random.SeedSequence(seeds)).random_raw(count).tolist()

    assert cut.left_out == 999 - 990
    assert cut.starts(5, 6, 0, np.arange(3))[0] == words(1, 5, 6, 1)[0] % 10
    for batch in range(1, 33):
        drawn = [word / 2**64 < 0.3 for word in words(3, 5, 6, 2, batch)]
        assert cut.resets(5, 6, batch, np.arange(3)).tolist() == drawn


# --------------------------------------------------------------------------------- a text too short
@pytest.mark.parametrize(
    ("options", "num_symbols", "expected", "hint"),
    [
        ({}, 51200, "51,201 symbols: data.batch_size=64 x 8 process", "data.batch_size=63"),
        ({}, 51200, "x data.seq_len=100, and the last target", "or data.seq_len=99"),
        ({}, 700, "51,201", "at most data.batch_size=1 data.seq_len=87"),
        ({}, 16, "51,201", "a longer text"),
        ({"stateful": False, "predict_across": False}, 51199, "51,200 symbols: ", "=63 or "),
    ],
)
def test_a_text_that_is_too_short_for_a_batch(options, num_symbols, expected, hint):
    with pytest.raises(UsageError, match="train is too short for one batch") as caught:
        train_cut(config(**options), num_symbols, World(0, 8))
    assert expected in caught.value.expected
    assert caught.value.got == f"{num_symbols:,} symbols in train"
    assert hint in caught.value.hint


@PROPERTY
@given(st.integers(2, 400), st.integers(1, 9), st.integers(2, 40), st.integers(1, 4), st.booleans())
def test_what_is_said_to_fit_does_fit(num_symbols, batch_size, seq_len, size, stateful):
    options = {"batch_size": batch_size, "seq_len": seq_len, "stateful": stateful}
    try:
        assert train_cut(config(**options), num_symbols, World(0, size)).num_batches > 0
    except UsageError as error:
        for fit in error.hint.removeprefix("at most ").split(" or "):
            if fit.startswith("data."):
                changes = [change.removeprefix("data.").split("=") for change in fit.split()]
                fits = options | {name: int(value) for name, value in changes}
                assert train_cut(config(**fits), num_symbols, World(0, size)).num_batches > 0
                with pytest.raises(UsageError):
                    fits[changes[-1][0]] += 1
                    train_cut(config(**fits), num_symbols, World(0, size))


# -------------------------------------------------------------------------------------- evaluation
@settings(max_examples=300, deadline=None)
@given(
    num_symbols=st.integers(2, 400),
    eval_lanes=st.integers(1, 70),
    eval_window=st.integers(1, 60),
    eval_warmup=st.integers(0, 50),
)
def test_lanes_score_every_symbol_once_after_their_warmup(
    num_symbols, eval_lanes, eval_window, eval_warmup
):
    options = {"eval_lanes": eval_lanes, "eval_window": eval_window, "eval_warmup": eval_warmup}
    cut = EvalLanes.of(config(**options), num_symbols)
    lanes = np.arange(cut.num_lanes)
    read = [[] for _ in lanes]  # positions since the lane began
    scored = [[] for _ in lanes]
    for batch in range(cut.num_batches):
        num_steps = len(cut.steps(batch))
        assert 1 <= num_steps <= eval_window
        starts, resets = cut.starts(batch, lanes), cut.resets(batch, lanes)
        is_scored_TB = cut.scored_TB(batch, lanes)
        assert is_scored_TB.shape == (num_steps, cut.num_lanes)
        for lane in lanes:
            # all of the window and the target after it are there to be read
            assert 0 <= starts[lane] <= starts[lane] + num_steps < num_symbols
            if resets[lane]:
                assert scored[lane] == []
                read[lane] = []
            positions = range(starts[lane], starts[lane] + num_steps)
            read[lane] += positions
            scored[lane] += [p for p, counts in zip(positions, is_scored_TB[:, lane]) if counts]

    targets = Counter(position + 1 for positions in scored for position in positions)
    assert targets == Counter(range(1, num_symbols))
    lengths = [len(positions) for positions in scored]
    assert max(lengths) - min(lengths) <= 1
    for lane in lanes:
        # one step after another, from the split's first symbol or a warm-up before the first scored
        begin = 0 if lane == 0 else scored[lane][0] - eval_warmup
        assert read[lane] == list(range(begin, begin + len(read[lane])))
        assert scored[lane] == list(range(scored[lane][0], scored[lane][-1] + 1))
    assert cut.num_lanes == 1 or min(lengths) >= (eval_warmup or eval_window)
    # no fewer lanes than there is room for
    more = cut.num_lanes + 1
    assert cut.num_lanes == eval_lanes or (num_symbols - 1) // more < (eval_warmup or eval_window)


def test_the_window_is_that_of_training_unless_there_is_one():
    assert EvalLanes.of(config(seq_len=30), 1000).window == 30
    assert EvalLanes.of(config(seq_len=30, eval_window=70), 1000).window == 70


def test_enwik8_as_it_is_scored_by_default():
    cut = EvalLanes.of(config(), 5_000_000)
    assert (cut.num_lanes, cut.num_steps, cut.num_batches) == (64, 78125, 10 + 782)
    assert [len(cut.steps(batch)) for batch in (0, 10, 790, 791)] == [100, 100, 100, 25]
