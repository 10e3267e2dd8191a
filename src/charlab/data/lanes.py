"""Where the windows of a stream begin: pure functions of integers. Imports no torch.

Positions count the symbols of one split from its first, 0, to its last, n - 1. A step at position p
reads the symbol there and predicts the one at p + 1.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from charlab.config.schema_data import StreamConfig
from charlab.data.order import Ids, permuted, random_words
from charlab.errors import UsageError
from charlab.world import World

# Set the seeds of one kind of draw apart from those of another.
OFFSET, RESETS, WINDOWS = 1, 2, 3

# Of a window that is worth a hint.
MIN_STEPS = 2

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class TrainCut(ABC):
    """An epoch over n symbols, cut into batches of L windows of T steps, for all processes.

    num_symbols  n
    num_rows     L: rows of a batch over all processes together
    num_steps    T: symbols from one window's begin to the next one's
    across       a window's last step predicts the first symbol of the next window; otherwise it
                 has T - 1 steps
    in_a_row     window k + 1 of a row begins where its window k ends
    """

    in_a_row: ClassVar[bool]

    num_symbols: int
    num_rows: int
    num_steps: int
    across: bool

    @property
    def num_usable(self) -> int:
        """Symbols that a window can hold: all, but for the last where it can only be predicted."""
        return self.num_symbols - self.across

    @property
    def num_batches(self) -> int:
        """floor(usable / (L * T))"""
        return self.num_usable // (self.num_rows * self.num_steps)

    @property
    def left_out(self) -> int:
        """usable - batches * L * T: less than a window a row. Which ones depends on the epoch."""
        return self.num_usable - self.num_batches * self.num_rows * self.num_steps

    @property
    def num_read(self) -> int:
        """Symbols of a window, the last one's target included."""
        return self.num_steps + self.across

    @abstractmethod
    def starts(self, seed: int, epoch: int, batch: int, rows: Ids) -> Ids:
        """Where the windows of these rows of the batch begin."""

    @abstractmethod
    def resets(self, seed: int, epoch: int, batch: int, rows: Ids) -> Mask:
        """Which of these rows forget the state carried so far."""

    def _offset(self, limit: int, seed: int, epoch: int) -> int:
        """Where the first window of an epoch begins: in 0 ... limit."""
        # words are so much larger than texts that the remainder is as good as uniform
        return int(random_words(1, seed, epoch, OFFSET)[0] % np.uint64(limit + 1))


@final
@dataclass(frozen=True)
class CarriedLanes(TrainCut):
    """Row l of every batch goes on where it ended in the batch before: a lane of W windows.

        start(l, k) = offset + (l * W + k) * T,     W = batches,  offset in 0 ... left_out

    reset_prob  chance that a lane forgets before a window; at the start of an epoch all do
    """

    in_a_row = True
    reset_prob: float

    def starts(self, seed: int, epoch: int, batch: int, rows: Ids) -> Ids:
        offset = self._offset(self.left_out, seed, epoch)
        return offset + (rows * self.num_batches + batch) * self.num_steps

    def resets(self, seed: int, epoch: int, batch: int, rows: Ids) -> Mask:
        if batch == 0:
            return np.ones(len(rows), np.bool_)
        # Drawn for all rows, so that a row's draw does not depend on how processes share them. The
        # upper 53 bits make a uniform float64 in [0, 1).
        words = random_words(self.num_rows, seed, epoch, RESETS, batch)[rows]
        drawn: Mask = (words >> np.uint64(11)) * 2.0**-53 < self.reset_prob
        return drawn


@final
@dataclass(frozen=True)
class ShuffledWindows(TrainCut):
    """Every row of every batch is a window of its own, all in a random order.

    start(l, k) = offset + order(k * L + l) * T,     order a permutation of 0 ... M - 1,
    M = floor(usable / T),  offset in 0 ... usable - M * T
    """

    in_a_row = False

    def starts(self, seed: int, epoch: int, batch: int, rows: Ids) -> Ids:
        num_windows, rest = divmod(self.num_usable, self.num_steps)
        order = permuted(batch * self.num_rows + rows, num_windows, seed, epoch, WINDOWS)
        return self._offset(rest, seed, epoch) + order * self.num_steps

    def resets(self, seed: int, epoch: int, batch: int, rows: Ids) -> Mask:
        return np.ones(len(rows), np.bool_)


def train_cut(config: StreamConfig, num_symbols: int, world: World) -> TrainCut:
    """How an epoch of train is cut; UsageError where that leaves no batch."""
    assert config.predict_across or (not config.stateful and config.seq_len > 1)
    num_rows = config.batch_size * world.size
    cut: TrainCut
    if config.stateful:
        cut = CarriedLanes(num_symbols, num_rows, config.seq_len, True, config.reset_prob)
    else:
        cut = ShuffledWindows(num_symbols, num_rows, config.seq_len, config.predict_across)
    if cut.num_batches == 0:
        raise _too_short(config, cut, world)
    return cut


def _too_short(config: StreamConfig, cut: TrainCut, world: World) -> UsageError:
    num_rows, num_steps, for_one_row = (
        cut.num_usable // taken for taken in (cut.num_steps * world.size, cut.num_rows, world.size)
    )
    fits = [f"data.batch_size={num_rows}"] if num_rows else []
    fits += [f"data.seq_len={num_steps}"] if num_steps >= MIN_STEPS else []
    if not fits and for_one_row >= MIN_STEPS:
        fits = [f"data.batch_size=1 data.seq_len={for_one_row}"]
    needed = cut.num_rows * cut.num_steps + cut.across
    return UsageError(
        "train is too short for one batch",
        expected=f"at least {needed:,} symbols: data.batch_size={config.batch_size} x "
        f"{world.size} process(es) x data.seq_len={config.seq_len}"
        + (", and the last target" if cut.across else ""),
        got=f"{cut.num_symbols:,} symbols in train",
        hint=f"at most {' or '.join(fits)}" if fits else "a longer text",
        option="data.batch_size",
    )


@final
@dataclass(frozen=True)
class EvalLanes:
    """A split of n symbols cut into k lanes, which are scored side by side.

    Every symbol but the first is a target exactly once.

    Lane j scores the steps at positions floor(j (n-1) / k) ... floor((j+1) (n-1) / k) - 1; lengths
    differ by one at most, and no lane is longer than the last. Lane 0 begins with the split; every
    other one begins with `warmup` steps before its own that are not scored, while lane 0 waits.
    All lanes move on together, in windows of `window` steps; the first window of the warm-up and
    the last of all may be shorter.
    """

    num_symbols: int
    num_lanes: int
    window: int
    warmup: int

    @classmethod
    def of(cls, config: StreamConfig, num_symbols: int) -> Self:
        """As many lanes as asked for, fewer where they would be shorter than their warm-up.

        Without a warm-up a lane is a window long at least.
        """
        assert num_symbols >= 2, "a split without a target"
        window = config.eval_window or config.seq_len
        num_lanes = min(config.eval_lanes, (num_symbols - 1) // (config.eval_warmup or window))
        return cls(
            num_symbols,
            max(num_lanes, 1),
            window,
            config.eval_warmup if num_lanes > 1 else 0,
        )

    @property
    def num_steps(self) -> int:
        """Steps that the longest lane scores."""
        return -(-(self.num_symbols - 1) // self.num_lanes)

    @property
    def num_batches(self) -> int:
        return self._warmup_batches + -(-self.num_steps // self.window)

    @property
    def _warmup_batches(self) -> int:
        return -(-self.warmup // self.window)

    def firsts(self, lanes: Ids) -> Ids:
        """The position of the first step that a lane scores; of lane k: of the end."""
        return lanes * (self.num_symbols - 1) // self.num_lanes

    def steps(self, batch: int) -> Ids:
        """The steps of a batch, counted from the first that is scored; warm-up is negative."""
        begin, end = (
            min(max(edge * self.window, -self.warmup), self.num_steps)
            for edge in (batch - self._warmup_batches, batch - self._warmup_batches + 1)
        )
        return np.arange(begin, end)

    def starts(self, batch: int, lanes: Ids) -> Ids:
        """Where the lanes are at the first step of a batch; lane 0 waits at its beginning."""
        starts: Ids = np.maximum(self.firsts(lanes) + self.steps(batch)[0], 0)
        return starts

    def resets(self, batch: int, lanes: Ids) -> Mask:
        """Lanes that begin with this batch."""
        begins: Mask = np.where(lanes == 0, 0, -self.warmup) == self.steps(batch)[0]
        return begins

    def scored_TB(self, batch: int, lanes: Ids) -> Mask:
        """Which steps of a batch count, and are scored in no other lane."""
        steps_T1 = self.steps(batch)[:, None]
        lengths_B = self.firsts(lanes + 1) - self.firsts(lanes)
        is_scored: Mask = (steps_T1 >= 0) & (steps_T1 < lengths_B)
        return is_scored
