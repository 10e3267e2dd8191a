"""Files of the cache folder: written whole or not at all, by one process at a time.

What is kept there is the affair of those who keep it.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any, final

from filelock import FileLock, Timeout

from charlab.errors import UsageError

# A process that waits for longer than this says so.
QUIET_WAIT_S = 2.0


def default_cache() -> Path:
    """The cache folder where paths.cache is not set; a variable that is empty counts as unset."""
    if own := os.environ.get("CHARLAB_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME") or ".", ".cache")
    return Path(shared, "charlab")


@final
class Unwritable(UsageError):
    """The cache folder cannot be written."""


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """Unwritable in place of an OSError: `path` is in the cache."""
    try:
        yield
    except OSError as error:
        raise Unwritable(
            f"cannot write {path}",
            expected="paths.cache is a folder that can be written, on a disk with room",
            got=error.strerror or str(error),
            hint="paths.cache=FOLDER, or make room",
            option="paths.cache",
        ) from error


@contextmanager
def locked(path: Path, doing: str, say: Callable[[str], None]) -> Iterator[None]:
    """Be the only process in here for `path`; a wait of any length is said in one line.

    doing  what the process that was first is at, "fetching enwik8"
    say    shows a line to the user

    The lock falls with the process that holds it, however that ends.
    """
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(path.name + ".lock"))
        try:
            lock.acquire(timeout=QUIET_WAIT_S)
        except Timeout:
            say(f"another process is {doing}: waiting for it")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def write_all(file: FileIO, block: bytes, path: Path) -> None:
    """Write the block to a file without a buffer: what fails fails here, not when it is closed.

    Unwritable where the disk is full.
    """
    left = memoryview(block)
    with disk(path):
        while left:
            left = left[file.write(left) :]


@final
class HashingWriter:
    """Writes blocks; knows their number of bytes and their sha256."""

    def __init__(self, file: FileIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._digest = hashlib.sha256()
        self.num_bytes = 0

    def write(self, block: bytes) -> None:
        """Unwritable where the disk is full."""
        write_all(self._file, block, self._path)
        self._digest.update(block)
        self.num_bytes += len(block)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[HashingWriter]:
    """A file that is at `path` when the block ends well, and nowhere when it does not.

    The caller holds the lock of `path`: a temporary of this name is left over from a killed process
    and is written over.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with disk(path):
            file = temporary.open("wb", buffering=0)
        with file:
            yield HashingWriter(file, path)
            with disk(path):
                # else a power cut could leave the name without the bytes
                os.fsync(file.fileno())
        with disk(path):
            temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def read_note(path: Path) -> Any:
    """The plain value that `write_note` wrote; None if it is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def write_note(path: Path, plain: Any) -> None:
    """Keep what only saves time, as JSON; a cache that cannot be written is left alone.

    Atomic: readers see the old file or the new one, whoever else writes it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError:
        return
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(plain, file)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
