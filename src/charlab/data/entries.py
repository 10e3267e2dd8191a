"""Big files that are made once and kept in the cache, each with a note of what it has to be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from charlab.data.checksum import remember, sha256_of
from charlab.data.report import Report
from charlab.files import HashingWriter, locked, read_note, write_note, writing


@final
@dataclass(frozen=True)
class Entry:
    """A file of the cache that is as it was when it was made.

    facts  plain values that its maker noted
    """

    path: Path
    sha256: str
    facts: dict[str, Any]


def made_once(
    path: Path,
    make: Callable[[HashingWriter], Mapping[str, Any]],
    doing: str,
    cache: Path,
    report: Report,
) -> Entry:
    """The entry at `path`; made where it is missing, unfinished or damaged.

    make   writes the file, returns the facts; what it raises leaves no file behind
    doing  in words, "unpacking text.gz"

    Of several processes one makes it and the others wait. The name of `path` has to change with
    whatever the content depends on.
    """
    entry = _sound(path, cache, report)
    if entry is not None:
        return entry
    with locked(path, doing, report.note):
        entry = _sound(path, cache, report)  # made while this process waited
        if entry is not None:
            return entry
        with writing(path) as file:
            facts = dict(make(file))
        remember(path, file.sha256, cache)
        write_note(_note(path), {"sha256": file.sha256, "facts": facts})
        return Entry(path, file.sha256, facts)


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _sound(path: Path, cache: Path, report: Report) -> Entry | None:
    note = read_note(_note(path))
    if not path.is_file() or not isinstance(note, dict) or not note.keys() >= {"sha256", "facts"}:
        return None
    if note["sha256"] != sha256_of(path, cache, report):
        return None
    return Entry(path, note["sha256"], note["facts"])
