"""Where a study is kept: a file in the folder of its runs, or a database that machines share."""

import random
import re
import time
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


def open_study(name: str, goal: Goal, folder: Path, url: str | None, *, make: bool = True) -> Study:
    """The study of that name.

    folder  its file is FOLDER/study.journal, which processes of all machines that see it may share
    url     a database in its place, as SQLAlchemy writes it: postgresql://USER@HOST/DATABASE
    make    where there is none yet

    Raises UsageError where it cannot be opened, or is not there and not to be made.
    """
    if not make and url is None and not (folder / FILE).exists():
        raise _nothing_there(name, str(folder / FILE))
    storage = _file_storage(folder / FILE) if url is None else _database(url)
    if make:
        return create_study(study_name=name, direction=goal, storage=storage, load_if_exists=True)
    try:
        return load_study(study_name=name, storage=storage)
    except KeyError as error:
        raise _nothing_there(name, _shown(url) if url else str(folder / FILE)) from error


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
        self._lock = FileLock(f"{path}.lock")

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


def _file_storage(path: Path) -> BaseStorage:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=_Lock(path)))
    except OSError as error:
        raise UsageError(
            f"the study {path} cannot be opened: {error.strerror or error}",
            expected="a folder that can be written",
            hint="paths.runs=FOLDER puts runs and study elsewhere",
            option="paths.runs",
        ) from error
    except ValueError as error:
        raise UsageError(
            f"the study {path} is damaged: {error}",
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
                    hint="postgresql+psycopg://USER@HOST/DATABASE, pip install 'psycopg[binary]'",
                ) from error
            time.sleep(attempt * random.uniform(0.5, 1))
    raise AssertionError("the last attempt returns or raises")
