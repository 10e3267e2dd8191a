"""A long array of symbols in a file, read in windows through a memory map. Imports no torch.

Which file it is, and what its values mean, is the corpus's affair (`stream_corpus.py`).
"""

import mmap
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from charlab.data.order import Ids

# What one touch can make resident. Linux maps 64 KiB around a page that is touched, and from 6.18
# on (on some file systems from 5.18 on) the whole folio of the page cache: up to 2 MiB.
PLACE_BYTES = 2**21
# Places that may be resident at a time: 32 MiB, whatever the size of the file.
MAX_PLACES = 16


@final
class MappedIds:
    """The symbols of a file as ids, int64, without ever holding the file in memory.

    path   a raw array, without a header; it must not change while it is mapped
    dtype  of the array: "u1", "<u2" or "<u4"
    table  [largest stored value + 1] the id of each stored value; None where they are ids already

    At most MAX_PLACES of the file, and those of one window, are resident at a time. A page that was
    touched stays resident until the system runs short: a pass over a file would end with all of it
    so, if pages were not given back. They are cheap to get again, the system still has them.
    """

    def __init__(self, path: Path, dtype: str, table: Ids | None = None) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        assert len(self._map) % np.dtype(dtype).itemsize == 0, f"{path} was cut short"
        self._stored: NDArray[Any] = np.frombuffer(self._map, dtype)
        self._table = table
        self._num_places = -(-len(self._map) // PLACE_BYTES)
        self._touched: set[int] = set()

    def __len__(self) -> int:
        """Number of symbols."""
        return len(self._stored)

    def window_TB(self, starts_B: Ids, num_steps: int) -> Ids:
        """[num_steps, B] contiguous: column b holds the ids from starts_B[b] on."""
        assert starts_B.min() >= 0
        windows = sliding_window_view(self._stored, num_steps)
        values_BT = np.empty((len(starts_B), num_steps), self._stored.dtype)
        for columns in self._near_together(starts_B, num_steps):
            values_BT[columns] = windows[starts_B[columns]]
        return self._to_ids(values_BT.T)

    def block(self, start: int, stop: int) -> Ids:
        """[stop - start] the ids of a stretch."""
        assert 0 <= start < stop <= len(self)
        return self.window_TB(np.array([start]), stop - start)[:, 0]

    def _to_ids(self, values: NDArray[Any]) -> Ids:
        if self._table is None:
            return values.astype(np.int64, order="C")
        ids: Ids = self._table[np.ascontiguousarray(values)]
        return ids

    def _near_together(self, starts_B: Ids, num_steps: int) -> Iterator[Ids]:
        """The columns in groups that touch few places, with pages given back before each group.

        In the order of their starts each column adds the places from the end of the one before on.
        """
        if self._num_places <= MAX_PLACES:
            yield np.arange(len(starts_B))
            return
        columns = np.argsort(starts_B)
        first_B, last_B = (
            (starts_B[columns] + step) * self._stored.itemsize // PLACE_BYTES
            for step in (0, num_steps - 1)
        )
        added_B = last_B - np.maximum(first_B, np.append(-1, last_B[:-1]) + 1) + 1
        group_B = (np.cumsum(added_B) - 1) // MAX_PLACES
        edges = [*np.flatnonzero(np.diff(group_B, prepend=-1)), len(columns)]
        for begin, end in pairwise(edges):
            self._touch(first_B[begin:end], last_B[begin:end])
            yield columns[begin:end]

    def _touch(self, first_B: Ids, last_B: Ids) -> None:
        """Make room for the places that are about to be touched."""
        places = {
            place
            for first, last in zip(first_B.tolist(), last_B.tolist())
            for place in range(first, last + 1)
        }
        self._touched |= places
        if len(self._touched) > MAX_PLACES:
            if sys.platform != "win32":  # which has no such call, and trims by itself
                self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = places
