"""What the tests of streams share: a text in a file, cut into parts, and batches as lists."""

from dataclasses import dataclass

import numpy as np

from charlab.config.schema_data import TextConfig
from charlab.data.epochs import ONE_PROCESS
from charlab.data.mapped import MappedIds
from charlab.data.stream_module import StreamDataModule

MODES = {
    "lanes": {},
    "windows": {"stateful": False},
    "within": {"stateful": False, "predict_across": False},
}


@dataclass(frozen=True)
class Parts:
    """What a data module needs of a corpus."""

    ids: MappedIds
    cuts: tuple[int, int, int, int]

    def bounds(self, split):
        part = ("train", "val", "test").index(split)
        return self.cuts[part], self.cuts[part + 1]


def mapped(folder, symbols, dtype="<u2"):
    path = folder / "symbols"
    np.array(symbols).astype(dtype).tofile(path)
    return MappedIds(path, dtype)


def numbered(folder, num_train, num_val=5, num_test=7):
    """A text whose symbols are the positions they stand at."""
    ends = np.cumsum([0, num_train, num_val, num_test]).tolist()
    return Parts(mapped(folder, range(ends[-1])), tuple(ends))


def config(**options):
    return TextConfig(name="text", **options)


def module(parts, seed=0, world=ONE_PROCESS, **options):
    return StreamDataModule(parts, config(**options), seed, world)


def plain(batch):
    """The batch as lists, one a row: (inputs, targets, reset)."""
    inputs_BT, targets_BT = batch.inputs_TB.T.tolist(), batch.targets_TB.T.tolist()
    return list(zip(inputs_BT, targets_BT, batch.reset_B.tolist(), strict=True))


def epoch(loader):
    return [plain(batch) for batch in loader]


def side_by_side(ranks):
    """The batches of several processes as batches of one: their rows in turn."""
    return [[row for rows in batches for row in rows] for batches in zip(*ranks, strict=True)]
