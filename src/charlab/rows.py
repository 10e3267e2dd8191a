"""Files of a run directory: JSON, and a JSON object a line. Imports nothing heavy."""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

from charlab.errors import CannotWrite


def finite(value: Any) -> Any:
    """The value with null for every number that is not finite: JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def about(file: Path) -> Iterator[None]:
    """In here an OSError is about the file, and becomes CannotWrite."""
    try:
        yield
    except OSError as error:
        raise CannotWrite(file, error) from error


def append(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Raises CannotWrite, as all that write here do; half a row may be there then."""
    with about(file), file.open("a", encoding="utf-8") as opened:
        opened.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def replace(file: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file anew; a reader sees it as it was or as it is. durable: on the disk, too."""
    draft = file.with_name(f"{file.name}.new")
    with about(file):
        try:
            with draft.open("wb") as opened:
                opened.write(content)
                if durable:
                    opened.flush()
                    os.fsync(opened.fileno())
            draft.replace(file)
            if durable:
                sync_folder(file.parent)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            raise


def sync_folder(folder: Path) -> None:
    """Have the names of a folder's files on the disk, after one was renamed. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync(file: Path) -> None:
    """Have on the disk what was written so far, if there is such a file."""
    if file.exists():
        with about(file), file.open("rb") as opened:
            os.fsync(opened.fileno())


def parsed(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The rows in lines of a file; a crash may have cut one off, or a disk lost its power."""
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            yield row


@final
class Tail:
    """What is added to a file, a line at a time, each once it is whole."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._offset_bytes = 0

    def lines(self) -> list[bytes]:
        """Those that have come since the last call; none while there is no file."""
        try:
            size = self.file.stat().st_size
            # a run that goes on drops the rows after its checkpoint
            self._offset_bytes = min(self._offset_bytes, size)
            if size == self._offset_bytes:
                return []
            with self.file.open("rb") as opened:
                opened.seek(self._offset_bytes)
                text = opened.read()
        except OSError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._offset_bytes += len(whole)
        return whole.splitlines()


def keep_until(file: Path, step: int | None) -> None:
    """Keep the rows that were there when the checkpoint of a step was made; None keeps none.

    That is without the rows of a test, which comes after the last step, and without the half of a
    row that a killed process may have left.
    """
    if not file.exists():
        return
    lines = file.read_bytes().split(b"\n")[:-1]  # after the last newline is nothing, or half a row
    kept = [
        line for line in lines for row in parsed([line]) if step is not None and _is_kept(row, step)
    ]
    if not kept:
        file.unlink()
    elif len(kept) < len(lines) or not file.read_bytes().endswith(b"\n"):
        replace(file, b"".join(line + b"\n" for line in kept))


def _is_kept(row: Mapping[str, Any], step: int) -> bool:
    return row["step"] <= step and not any(name.startswith("test/") for name in row)
