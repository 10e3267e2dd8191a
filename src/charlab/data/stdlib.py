"""A text that every machine has: the source of the standard library of the Python that runs."""

import hashlib
import json
import os
import platform
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from charlab.data.entries import made_once
from charlab.data.report import Progress, Report
from charlab.errors import UsageError
from charlab.files import HashingWriter

METHOD = 1  # the version of what is done here
# folders that are not the standard library's source
LEFT_OUT = {"site-packages", "dist-packages", "__pycache__"}


@final
@dataclass(frozen=True)
class StandardLibrary:
    """Its files end to end, in one plain file of the cache."""

    path: Path
    sha256: str
    num_files: int

    @property
    def source(self) -> str:
        return f"{_interpreter()} standard library, {self.num_files:,} files"


def read_stdlib(cache: Path, report: Report, root: Path | None = None) -> StandardLibrary:
    """The library under `root`, the running interpreter's where that is None.

    Files are ordered by the sha256 of their path, so that train, val and test are of all kinds
    alike. What is not UTF-8 is left out (tests of encodings); each file ends with a line break.
    The text is made anew when the interpreter or the size of a file has changed.
    """
    root = Path(sysconfig.get_path("stdlib")) if root is None else root
    files = _files(root)
    if not files:
        raise UsageError(
            "this Python has no source of its standard library",
            expected=f"*.py files in {root}",
            got="none",
            hint="another data set: data=names, or data=text data.path=FILE",
            option="data",
        )
    key = json.dumps([METHOD, _interpreter(), files])
    path = cache / "python_stdlib" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.py.txt"
    names = sorted((name for name, _ in files), key=_digest)

    def make(file: HashingWriter) -> dict[str, Any]:
        num_bytes = sum(size for _, size in files)
        with report.progress("collecting the standard library", num_bytes) as progress:
            return {"num_files": _join(root, names, file, progress)}

    entry = made_once(path, make, "collecting the standard library", cache, report)
    return StandardLibrary(entry.path, entry.sha256, entry.facts["num_files"])


def _interpreter() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}"


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()


def _files(root: Path) -> list[tuple[str, int]]:
    """Relative posix path and size of each source file, in the order of their paths."""
    found = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in LEFT_OUT]
        for name in names:
            path = Path(folder, name)
            if path.suffix == ".py" and path.is_file():  # a link may lead nowhere
                found.append((path.relative_to(root).as_posix(), path.stat().st_size))
    return sorted(found)


def _join(root: Path, names: Sequence[str], file: HashingWriter, progress: Progress) -> int:
    """Write the files end to end; the number of those that are UTF-8 and not empty."""
    num_files = 0
    for name in names:
        source = (root / name).read_bytes()
        progress.advance(len(source))
        if source and _is_utf8(source):
            file.write(source if source.endswith(b"\n") else source + b"\n")
            num_files += 1
    return num_files


def _is_utf8(source: bytes) -> bool:
    try:
        source.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
