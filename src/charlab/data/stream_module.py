"""Batches of a stream: loaders that train and score, and the LightningDataModule around them.

Which symbols a batch holds is settled in `lanes.py`.
"""

from collections.abc import Iterator
from typing import final

import numpy as np
import torch
from pytorch_lightning import LightningDataModule

from charlab.config.schema_data import StreamConfig
from charlab.data.epochs import EpochLoader
from charlab.data.lanes import EvalLanes, TrainCut, train_cut
from charlab.data.mapped import MappedIds
from charlab.data.order import Ids
from charlab.data.splits import Split
from charlab.data.stream_corpus import StreamCorpus
from charlab.types import IGNORE, Batch
from charlab.world import World

# Steps of a lane that are read at a time: to touch a page costs more than to copy what is in it.
READ_STEPS = 1000


@final
class StreamLoader(EpochLoader):
    """Time-major batches of train, for one process: its rows of all those that `cut` has.

    Inputs and targets of a batch share their memory: the targets are the inputs one step on.
    """

    def __init__(
        self, ids: MappedIds, start: int, cut: TrainCut, *, seed: int, world: World
    ) -> None:
        super().__init__(world)
        self._ids = ids
        self._start = start
        self._cut = cut
        self._seed = seed
        num_rows = cut.num_rows // world.size
        self._rows = world.rank * num_rows + np.arange(num_rows)

    def __len__(self) -> int:
        return self._cut.num_batches

    @property
    def lanes(self) -> int:
        """Rows of a batch over all processes together."""
        return self._cut.num_rows

    @property
    def left_out(self) -> int:
        """Symbols that an epoch leaves out as they fill no batch: less than a window a row."""
        return self._cut.left_out

    @property
    def mean_targets(self) -> float:
        return float(len(self._rows) * (self._cut.num_read - 1))

    @property
    def _shape(self) -> dict[str, int]:
        return {"rows": self._cut.num_rows, "steps": self._cut.num_steps}

    @property
    def _options(self) -> list[str]:
        return [
            f"data.batch_size={len(self._rows)}",
            f"data.seq_len={self._cut.num_steps}",
        ]

    def _batches(self, epoch: int, first: int) -> Iterator[Batch]:
        for batch, symbols_TB in enumerate(self._windows(epoch, first), first):
            forgets_B = self._cut.resets(self._seed, epoch, batch, self._rows)
            yield Batch(
                torch.from_numpy(symbols_TB[:-1]),
                torch.from_numpy(symbols_TB[1:]),
                torch.from_numpy(forgets_B),
            )

    def _windows(self, epoch: int, first: int) -> Iterator[Ids]:
        """The symbols of the batches from number `first` on; windows in a row are read at once."""
        cut = self._cut
        at_once = max(READ_STEPS // cut.num_steps, 1) if cut.in_a_row else 1
        for batch in range(first, len(self), at_once):
            begins = range(0, min(at_once, len(self) - batch) * cut.num_steps, cut.num_steps)
            starts_B = self._start + cut.starts(self._seed, epoch, batch, self._rows)
            symbols_TB = self._ids.window_TB(starts_B, begins[-1] + cut.num_read)
            yield from (symbols_TB[begin : begin + cut.num_read] for begin in begins)


@final
class EvalLoader:
    """Time-major batches of one split that score each of its symbols but the first exactly once.

    Of its lanes, process r of R has every R-th from lane r on. A process without a lane has a row
    without targets, so that all have equally many batches.
    """

    def __init__(self, ids: MappedIds, start: int, lanes: EvalLanes, world: World) -> None:
        self._ids = ids
        self._start = start
        self._lanes = lanes
        self._mine = np.arange(world.rank, lanes.num_lanes, world.size)

    def __len__(self) -> int:
        return self._lanes.num_batches

    @property
    def num_rows(self) -> int:
        """Rows of a batch."""
        return max(len(self._mine), 1)

    def __iter__(self) -> Iterator[Batch]:
        return map(self._batch, range(len(self)))

    def _batch(self, batch: int) -> Batch:
        rows = self._mine if len(self._mine) > 0 else np.zeros(1, np.int64)
        starts_B = self._start + self._lanes.starts(batch, rows)
        symbols_TB = self._ids.window_TB(starts_B, len(self._lanes.steps(batch)) + 1)
        is_scored_TB = self._lanes.scored_TB(batch, rows) & (len(self._mine) > 0)
        return Batch(
            torch.from_numpy(symbols_TB[:-1]),
            torch.from_numpy(np.where(is_scored_TB, symbols_TB[1:], IGNORE)),
            torch.from_numpy(self._lanes.resets(batch, rows)),
        )


@final
class StreamDataModule(LightningDataModule):
    """The three splits of a text as loaders, for one process of a run.

    seed  of the order of train: a run that is resumed or repeated sees the same batches
    """

    def __init__(self, corpus: StreamCorpus, config: StreamConfig, seed: int, world: World) -> None:
        super().__init__()
        self.corpus = corpus
        self._config = config
        self._seed = seed
        self._world = world

    def train_dataloader(self) -> StreamLoader:
        """UsageError where train is too short for one batch."""
        start, stop = self.corpus.bounds("train")
        cut = train_cut(self._config, stop - start, self._world)
        return StreamLoader(self.corpus.ids, start, cut, seed=self._seed, world=self._world)

    def val_dataloader(self) -> EvalLoader:
        return self.eval_dataloader("val")

    def test_dataloader(self) -> EvalLoader:
        return self.eval_dataloader("test")

    def eval_dataloader(self, split: Split) -> EvalLoader:
        """A split from its first symbol to its last, the state carried throughout."""
        start, _ = self.corpus.bounds(split)
        return EvalLoader(self.corpus.ids, start, self._eval_lanes(split), self._world)

    def probe(self, num_rows: int, num_steps: int) -> Batch:
        """Windows all over validation, the same at each call and in any process.

        Each begins a document. Fewer and shorter where validation is too short for so many.
        """
        start, stop = self.corpus.bounds("val")
        num_steps = min(num_steps, stop - start - 1)
        starts_B = np.unique(np.linspace(start, stop - 1 - num_steps, num_rows).astype(np.int64))
        symbols_TB = self.corpus.ids.window_TB(starts_B, num_steps + 1)
        return Batch(
            torch.from_numpy(symbols_TB[:-1]),
            torch.from_numpy(symbols_TB[1:]),
            torch.ones(len(starts_B), dtype=torch.bool),
        )

    def num_eval_lanes(self, split: Split) -> int:
        """Lanes that a split is scored in: part of how a score is reported."""
        return self._eval_lanes(split).num_lanes

    def _eval_lanes(self, split: Split) -> EvalLanes:
        start, stop = self.corpus.bounds(split)
        return EvalLanes.of(self._config, stop - start)
