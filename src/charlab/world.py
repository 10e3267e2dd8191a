"""The processes of one run, and which of them this is. Imports nothing heavy."""

from typing import NamedTuple


class World(NamedTuple):
    """Process `rank` of `size`; rank 0 keeps the record and shows the run."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0
