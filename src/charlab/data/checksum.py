"""The sha256 of files too big for memory, remembered while they stay as they are."""

import hashlib
from pathlib import Path

from charlab.data.report import Report
from charlab.files import read_note, write_note

BLOCK_BYTES = 1 << 20


def sha256_of(path: Path, cache: Path, report: Report) -> str:
    """Hex digits of the file's sha256. OSError where it cannot be read.

    A file of the same real path, size, time of change (ns) and inode is not read again.
    """
    identity = _identity(path)
    note = read_note(_note(path, cache))
    if isinstance(note, dict) and note.get("file") == identity and "sha256" in note:
        return str(note["sha256"])
    digest = hashlib.sha256()
    doing = f"checking {path.name}"
    with path.open("rb") as file, report.progress(doing, path.stat().st_size) as progress:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            progress.advance(len(block))
    sha256 = digest.hexdigest()
    if _identity(path) == identity:  # it was not being written meanwhile
        remember(path, sha256, cache)
    return sha256


def remember(path: Path, sha256: str, cache: Path) -> None:
    """Spare the next `sha256_of` the reading."""
    write_note(_note(path, cache), {"file": _identity(path), "sha256": sha256})


def _identity(path: Path) -> list[str | int]:
    stat = path.stat()
    return [str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino]


def _note(path: Path, cache: Path) -> Path:
    key = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return cache / "checksums" / f"{key}.json"
