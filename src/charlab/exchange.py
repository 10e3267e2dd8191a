"""What the processes of one job tell each other, in a private folder. Imports nothing heavy.

    run              the path of the run directory, from rank 0
    first-failure    the rank that failed first, and its error
    rank-1.log ...   what the ranks other than 0 print
    store            where the ranks find each other's addresses, written by torch

Each file is there as a whole or not at all.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple, final


class Failure(NamedTuple):
    """A process of the job that failed, and how: the name of the exception and its message."""

    rank: int
    error: str


@final
class Exchange:
    """The folder of one job, as its launcher and each of its ranks see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def log(self, rank: int) -> Path:
        return self.folder / f"rank-{rank}.log"

    def tell_run(self, path: Path) -> None:
        draft = self._draft(0, str(path))
        draft.rename(self.folder / "run")

    @property
    def run(self) -> Path | None:
        """The run directory, None as long as there is none."""
        told = self._read("run")
        return None if told is None else Path(told)

    def tell_failure(self, failure: Failure) -> bool:
        """True where no other rank has failed before this one, or with the same error.

        Of ranks that meet the same error only rank 0 is remembered.
        """
        draft = self._draft(failure.rank, json.dumps(failure))
        first = self.folder / "first-failure"
        try:
            os.link(draft, first)  # fails where there is one
        except FileExistsError:
            before = self.failure
            assert before is not None
            if failure.rank != 0 or failure.error != before.error:
                return before.rank == failure.rank
            draft.replace(first)
        return True

    @property
    def failure(self) -> Failure | None:
        """The rank that failed first, None as long as none has."""
        told = self._read("first-failure")
        return None if told is None else Failure(*json.loads(told))

    def _draft(self, rank: int, text: str) -> Path:
        path = self.folder / f"draft-{rank}"
        path.write_text(text, encoding="utf-8")
        return path

    def _read(self, name: str) -> str | None:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
