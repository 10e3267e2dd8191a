"""Batches of names: a loader without per-item Python, and the LightningDataModule around it.

A torch DataLoader collates item by item, about a millisecond a batch; gathering a batch from one
flat array takes a tenth of that.
"""

from collections.abc import Iterator, Sequence
from typing import final

import numpy as np
import torch
from pytorch_lightning import LightningDataModule

from charlab.data.epochs import ONE_PROCESS, EpochLoader
from charlab.data.names import NamesCorpus
from charlab.data.order import Ids, alike_in_batches, shuffled
from charlab.data.splits import Split
from charlab.data.vocabulary import Vocabulary
from charlab.types import IGNORE, Batch
from charlab.world import World

# Sets the seeds of the order of batches apart from those of the order of names.
BATCH_ORDER = 1


@final
class RaggedNames:
    """Names of any length end to end, each as BOS + characters + EOS.

    The inputs of a name are its ids without the EOS, the targets its ids without the BOS, so both
    have length `lengths[i]` = characters + 1, and targets are the inputs one step on.
    """

    def __init__(self, names: Sequence[str], vocabulary: Vocabulary) -> None:
        self.lengths: Ids = np.array([len(name) + 1 for name in names], np.int64)
        self._starts = np.cumsum(self.lengths + 1) - (self.lengths + 1)
        ids = [
            index
            for name in names
            for index in (vocabulary.BOS, *vocabulary.encode(name), vocabulary.EOS)
        ]
        # The tail lets a short name at the end be read as far as the longest one of its batch.
        tail = [vocabulary.PAD] * int(self.lengths.max())
        self._ids: Ids = np.array(ids + tail, np.int64)
        self._pad = vocabulary.PAD

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Ids) -> Batch:
        """The names of these rows side by side, T the longest of them plus one."""
        lengths_B = self.lengths[rows]
        steps_T1 = np.arange(lengths_B.max())[:, None]
        past_end_TB = steps_T1 >= lengths_B
        index_TB = steps_T1 + self._starts[rows]
        inputs_TB = self._ids[index_TB]
        targets_TB = self._ids[index_TB + 1]
        inputs_TB[past_end_TB] = self._pad
        targets_TB[past_end_TB] = IGNORE
        return Batch(
            torch.from_numpy(inputs_TB),
            torch.from_numpy(targets_TB),
            torch.ones(len(rows), dtype=torch.bool),
        )


@final
class NamesLoader(EpochLoader):
    """Time-major batches of one split, for one process.

    With a seed it trains: the order of epoch e is `shuffled(n, seed, e)` made `alike_in_batches`,
    the same on every process, and process r of R takes every R-th from r on. So that all have
    equally many rows, and the gradient's mean over processes is the mean over names, the shuffle
    is filled up from its own front: at most R - 1 names come twice in an epoch. The last batch may
    be short.

    Without a seed it evaluates: longest names first, dealt out the same way, each name exactly
    once over all processes. One that is out of names where another still has a batch repeats its
    first name with every target IGNORE, so that no process waits for a batch that never comes.

    `batch_size` is that of one process.
    """

    def __init__(
        self,
        names: RaggedNames,
        batch_size: int,
        *,
        seed: int | None = None,
        world: World = ONE_PROCESS,
    ) -> None:
        assert batch_size >= 1
        super().__init__(world)
        self._names = names
        self._batch_size = batch_size
        self._seed = seed

    def __len__(self) -> int:
        num_rows = -(-len(self._names) // self._world.size)
        return -(-num_rows // self._batch_size)

    @property
    def num_rows(self) -> int:
        """Rows of a whole batch."""
        return self._batch_size

    @property
    def mean_targets(self) -> float:
        return float(self._names.lengths.sum()) / self._world.size / len(self)

    @property
    def _shape(self) -> dict[str, int]:
        return {"rows": self._batch_size * self._world.size}

    @property
    def _options(self) -> list[str]:
        return [f"data.batch_size={self._batch_size}"]

    def _batches(self, epoch: int, first: int) -> Iterator[Batch]:
        rows = self._rows(epoch)
        for index in range(first, len(self)):
            begin = index * self._batch_size
            yield self._batch(rows[begin : begin + self._batch_size])

    def _rows(self, epoch: int) -> Ids:
        """The rows of this process in the order of this epoch."""
        num_names = len(self._names)
        if self._seed is None:
            order = np.argsort(-self._names.lengths, kind="stable")
        else:
            order = alike_in_batches(
                shuffled(num_names, self._seed, epoch),
                self._names.lengths,
                self._batch_size * self._world.size,
                self._seed,
                epoch,
                BATCH_ORDER,
            )
            # filled up last, so that all batches but the last are those of one process
            order = np.resize(order, -(-num_names // self._world.size) * self._world.size)
        return order[self._world.rank :: self._world.size]

    def _batch(self, rows: Ids) -> Batch:
        if len(rows) > 0:
            return self._names.batch(rows)
        filler = self._names.batch(np.zeros(1, np.int64))
        filler.targets_TB.fill_(IGNORE)
        return filler


@final
class NamesDataModule(LightningDataModule):
    """The three splits of a corpus as loaders, for one process of a run.

    seed  of the order of train: a run that is resumed or repeated sees the same batches
    """

    def __init__(
        self,
        corpus: NamesCorpus,
        vocabulary: Vocabulary,
        batch_size: int,
        seed: int,
        world: World = ONE_PROCESS,
    ) -> None:
        super().__init__()
        self.corpus = corpus
        self.vocabulary = vocabulary
        self._batch_size = batch_size
        self._seed = seed
        self._world = world

    def train_dataloader(self) -> NamesLoader:
        return self._loader(self.corpus.train, self._seed)

    def val_dataloader(self) -> NamesLoader:
        return self.eval_dataloader("val")

    def test_dataloader(self) -> NamesLoader:
        return self.eval_dataloader("test")

    def eval_dataloader(self, split: Split) -> NamesLoader:
        """A split in a fixed order, each name once."""
        splits = {"train": self.corpus.train, "val": self.corpus.val, "test": self.corpus.test}
        return self._loader(splits[split], None)

    def probe(self, num_rows: int, num_steps: int) -> Batch:
        """The first steps of names all over validation, the same at each call and in any process.

        Fewer rows where validation has no more names.
        """
        names = self.corpus.val
        rows = np.unique(np.linspace(0, len(names) - 1, num_rows).astype(np.int64))
        inputs_TB, targets_TB, reset_B = RaggedNames(names, self.vocabulary).batch(rows)
        return Batch(inputs_TB[:num_steps], targets_TB[:num_steps], reset_B)

    def _loader(self, names: Sequence[str], seed: int | None) -> NamesLoader:
        names_ids = RaggedNames(names, self.vocabulary)
        return NamesLoader(names_ids, self._batch_size, seed=seed, world=self._world)
