"""What the processes of one job tell each other, in a private folder. Imports nothing heavy.

    run              the path of the run directory, from rank 0
    first-failure    the rank that failed first, and its error
    pause            the step before which all ranks save, and end if they are to, from rank 0
    stop-asked       there once a rank other than 0 was asked to end
    rank-1.log ...   what the ranks other than 0 print
    store            where the ranks find each other's addresses, written by torch

Each file is there as a whole or not at all.
"""

import json
import os
import secrets
from pathlib import Path
from typing import NamedTuple, final


class Failure(NamedTuple):
    """A process of the job that failed, and how: the name of the exception and its message."""

    rank: int
    error: str


# What the launcher tells after a signal, which all ranks have got too.
INTERRUPTED = Failure(0, "interrupted")


class Pause(NamedTuple):
    """What all ranks do when that many steps are done: save, and perhaps end."""

    step: int
    ends: bool


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
        draft = self._draft(str(path))
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
        draft = self._draft(json.dumps(failure))
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

    def tell_pause(self, pause: Pause) -> None:
        """For rank 0: the ranks that go on with a step must come to know of it before its end."""
        draft = self._draft(json.dumps(pause))
        draft.replace(self.folder / "pause")

    @property
    def pause(self) -> Pause | None:
        """The latest one, which may lie behind."""
        told = self._read("pause")
        return None if told is None else Pause(*json.loads(told))

    def ask_stop(self) -> None:
        (self.folder / "stop-asked").touch()

    @property
    def stop_asked(self) -> bool:
        return (self.folder / "stop-asked").exists()

    def _draft(self, text: str) -> Path:
        """A new file each time: what it is linked to must not change with the next one."""
        path = self.folder / f"draft-{secrets.token_hex(8)}"
        path.write_text(text, encoding="utf-8")
        return path

    def _read(self, name: str) -> str | None:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
