"""Batches of names: a loader without per-item Python, and the LightningDataModule around it.

A torch DataLoader collates item by item, about a millisecond a batch; gathering a batch from one
flat array takes a tenth of that.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule

from charlab.data.names import NamesCorpus
from charlab.data.order import alike_in_batches, shuffled
from charlab.data.vocabulary import Vocabulary
from charlab.errors import UsageError
from charlab.types import IGNORE, Batch

Ids = NDArray[np.int64]
# Sets the seeds of the order of batches apart from those of the order of names.
BATCH_ORDER = 1
Split = Literal["train", "val", "test"]


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
class NamesLoader:
    """Time-major batches of one split, for one of `world_size` processes.

    With a seed it trains: the order of epoch e is `shuffled(n, seed, e)` made `alike_in_batches`,
    the same on every rank, and rank r takes every world_size-th from r on. So that all ranks have
    equally many rows, and the gradient's mean over ranks is the mean over names, the shuffle is
    filled up from its own front: at most world_size - 1 names come twice in an epoch. The last
    batch may be short.

    Without a seed it evaluates: longest names first, dealt out the same way, each name exactly
    once over all ranks. A rank that is out of names where another still has a batch repeats its
    first name with every target IGNORE, so that no rank waits for a batch that never comes.

    `batch_size` is that of one rank. `len` is the number of batches of an epoch, equal on all
    ranks. Iterating starts the next epoch, or goes on where a loaded state left off.
    """

    def __init__(
        self,
        names: RaggedNames,
        batch_size: int,
        *,
        seed: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        assert batch_size >= 1
        assert 0 <= rank < world_size
        self._names = names
        self._batch_size = batch_size
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        self._epoch = 0
        self._next_batch = 0
        self._resumed = False

    def __len__(self) -> int:
        num_rows = -(-len(self._names) // self._world_size)
        return -(-num_rows // self._batch_size)

    @property
    def mean_targets(self) -> float:
        """Targets of an average batch."""
        return float(self._names.lengths.sum()) / self._world_size / len(self)

    def __iter__(self) -> Iterator[Batch]:
        # Runs at the first next(), so that an iterator made and thrown away costs no epoch.
        # Lightning never asks a sized loader for more than its length: nothing may be left to do
        # after the last yield, hence the position moves on before each.
        if self._next_batch == len(self) or (self._next_batch > 0 and not self._resumed):
            self._epoch += 1
            self._next_batch = 0
        self._resumed = False
        rows = self._rows(self._epoch)
        for index in range(self._next_batch, len(self)):
            self._next_batch = index + 1
            yield self._batch(rows[index * self._batch_size : (index + 1) * self._batch_size])

    def _rows(self, epoch: int) -> Ids:
        """The rows of this rank in the order of this epoch."""
        num_names = len(self._names)
        if self._seed is None:
            order = np.argsort(-self._names.lengths, kind="stable")
        else:
            num_filled = -(-num_names // self._world_size) * self._world_size
            order = np.resize(shuffled(num_names, self._seed, epoch), num_filled)
            order = alike_in_batches(
                order,
                self._names.lengths,
                self._batch_size * self._world_size,
                self._seed,
                epoch,
                BATCH_ORDER,
            )
        return order[self._rank :: self._world_size]

    def _batch(self, rows: Ids) -> Batch:
        if len(rows) > 0:
            return self._names.batch(rows)
        filler = self._names.batch(np.zeros(1, np.int64))
        filler.targets_TB.fill_(IGNORE)
        return filler

    def state_dict(self) -> dict[str, int]:
        """The position: an epoch, the batches of it handed out, and how many it has."""
        return {
            "epoch": self._epoch,
            "next_batch": self._next_batch,
            "num_batches": len(self),
        }

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """The next iteration goes on from this position; UsageError if the epoch was cut otherwise.

        A finished epoch fits any batch size, an unfinished one only its own.
        """
        next_batch, num_batches = state_dict["next_batch"], state_dict["num_batches"]
        is_finished = next_batch == num_batches
        if num_batches != len(self) and not is_finished and next_batch > 0:
            raise UsageError(
                "the checkpoint is in the middle of an epoch that was cut into other batches",
                expected=f"{num_batches} batches an epoch, of which {next_batch} are done",
                got=f"{len(self)} batches with data.batch_size={self._batch_size} and "
                f"{self._world_size} process(es)",
                hint="resume with the data, data.batch_size and trainer.devices of the run",
                option="data.batch_size",
            )
        self._epoch = state_dict["epoch"]
        self._next_batch = len(self) if is_finished else next_batch
        self._resumed = True


@final
class NamesDataModule(LightningDataModule):
    """The three splits of a corpus as loaders, for the rank that the trainer has.

    seed  of the order of train: a run that is resumed or repeated sees the same batches
    """

    def __init__(
        self, corpus: NamesCorpus, vocabulary: Vocabulary, batch_size: int, seed: int
    ) -> None:
        super().__init__()
        self.corpus = corpus
        self.vocabulary = vocabulary
        self._batch_size = batch_size
        self._seed = seed

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

    def _loader(self, names: Sequence[str], seed: int | None) -> NamesLoader:
        return NamesLoader(
            RaggedNames(names, self.vocabulary),
            self._batch_size,
            seed=seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
        )
