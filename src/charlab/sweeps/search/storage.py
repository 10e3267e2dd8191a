"""Where a study is kept: a file in the folder of its runs, or a database that machines share."""

import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import final

from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import Study, create_study, load_study
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from charlab.errors import UsageError
from charlab.sweeps.definition.files import Goal

FILE = "study.journal"
ATTEMPTS = 4
LOCKED_S = 60
CHUNK_BYTES = 4096
# what Optuna raises for lines that it has not written
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, AssertionError)


def open_study(name: str, goal: Goal, folder: Path, url: str | None, *, make: bool = True) -> Study:
    """The study of that name.

    folder  its file is FOLDER/study.journal, which processes of all machines that see it may share
    url     a database in its place, as SQLAlchemy writes it: postgresql://USER@HOST/DATABASE
    make    where there is none yet

    Raises UsageError where it cannot be opened, or is not there and not to be made.
    """
    if not make and url is None and not (folder / FILE).exists():
        raise _nothing_there(name, str(folder / FILE))
    if url is None:
        with _told(folder / FILE):
            storage = _file_storage(folder / FILE)
            return _study(name, goal, storage, make=make, place=str(folder / FILE))
    return _study(name, goal, _database(url), make=make, place=_shown(url))


def _study(name: str, goal: Goal, storage: BaseStorage, *, make: bool, place: str) -> Study:
    if make:
        return create_study(study_name=name, direction=goal, storage=storage, load_if_exists=True)
    try:
        return load_study(study_name=name, storage=storage)
    except KeyError as error:
        raise _nothing_there(name, place) from error


def _nothing_there(name: str, place: str) -> UsageError:
    return UsageError(
        "no trial of this search has been run",
        expected=f"the study {name!r} in {place}",
        got="none",
        hint="the same command without --report; a search with other options or another space is "
        "another study",
    )


def _shown(url: str) -> str:
    """Without the password."""
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:***@", url)


@final
class _Lock(JournalFileOpenLock):
    """Falls with the process that has it; Optuna's own outlives a killed one by half a minute."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._lock = FileLock(f"{path}.lock")

    def acquire(self) -> bool:
        """Before each line that is written; what a killed process left half written goes."""
        self._lock.acquire()
        try:
            _drop_unfinished(self._path)
        except BaseException:
            self._lock.release()
            raise
        return True

    def release(self) -> None:
        self._lock.release()


def _drop_unfinished(path: Path) -> None:
    """Cut off the beginning of a line at the end of the file, which nobody has read as one."""
    with suppress(FileNotFoundError), path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        tail, begins = b"", end
        while begins > 0 and b"\n" not in tail:
            begins = max(0, begins - CHUNK_BYTES)
            file.seek(begins)
            tail = file.read(end - begins)
        tail = tail[tail.rfind(b"\n") + 1 :]
        if tail.startswith(b"{") and b"\0" not in tail:  # else it is damage of another kind
            file.truncate(end - len(tail))


def _file_storage(path: Path) -> BaseStorage:
    path.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=_Lock(path)))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raises UsageError for what Optuna raises inside where the file is not to be used."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"the study {path} cannot be opened: {error.strerror or error}",
            expected="a folder that can be written",
            hint="paths.runs=FOLDER puts runs and study elsewhere",
            option="paths.runs",
        ) from error
    except DAMAGE as error:
        raise UsageError(
            f"the study {path} is damaged: {type(error).__name__}: {error}",
            expected="a file that Optuna wrote",
            hint="move it away: the runs beside it stay, and are not run again",
        ) from error


def _database(url: str) -> BaseStorage:
    """Tried more than once: of several processes that make the tables all but one fail."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            # a file of SQLite is locked while another process writes
            patience = {"connect_args": {"timeout": LOCKED_S}} if url.startswith("sqlite") else {}
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True, **patience})
        except (SQLAlchemyError, StorageInternalError, ImportError, ValueError) as error:
            if attempt == ATTEMPTS or not isinstance(error, DBAPIError):
                raise UsageError(
                    f"the storage cannot be opened: {' '.join(str(error).split())}",
                    expected="the URL of a database, and the package that talks to it",
                    got=_shown(url),
                    hint="sqlite:////FOLDER/study.db on one machine; on several "
                    "postgresql+psycopg://USER@HOST/DATABASE, pip install 'psycopg[binary]'",
                ) from error
            time.sleep(attempt * random.uniform(0.5, 1))
    raise AssertionError("the last attempt returns or raises")
