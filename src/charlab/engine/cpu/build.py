"""From source to a library in this process: compiled once a machine, loaded once a process.

Libraries are kept in `kernels` of the cache folder. The name of one is a hash of all that it
depends on: the source, the compiler, the options, the processor, the C library. So machines that
differ may share a folder. Nothing here knows what a source says; `charlab.engine.cpu.compiler` runs
the compiler.
"""

import ctypes
import functools
import hashlib
import json
import logging
import tempfile
import threading
from pathlib import Path

from charlab.engine.cpu.compiler import (
    COMPILERS,
    CompileFailed,
    compiled,
    facts,
    find_compiler,
    temporary_folder,
)
from charlab.files import Unwritable, locked, read_note, writing

__all__ = ["CompileFailed", "find_compiler", "library", "load"]

_log = logging.getLogger(__name__)
_loaded: dict[str, ctypes.CDLL] = {}
_loading = threading.Lock()


def load(source: str, cache: Path) -> ctypes.CDLL:
    """The library of the source, in this process; the same one for the same source.

    Raises CompileFailed.
    """
    with _loading:
        if source not in _loaded:
            _loaded[source] = _load(source, cache)
        return _loaded[source]


def _load(source: str, cache: Path) -> ctypes.CDLL:
    path = library(source, cache)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        # it is sound, so the folder is one where nothing can be run, or another machine made it
        _say_once(f"{error}: kernels are compiled for this process alone")
    try:
        return ctypes.CDLL(str(library(source, Path(_own_folder().name))))
    except OSError as error:
        raise CompileFailed("a library that was compiled cannot be loaded", str(error)) from error


def library(source: str, cache: Path) -> Path:
    """The shared object of a source that includes nothing of ours; made where it is missing.

    Of several processes one makes it and the others wait. A damaged one is made anew. Where the
    cache cannot be written, the library is in a folder that goes with this process.
    Raises CompileFailed.
    """
    command = find_compiler()
    if command is None:
        raise CompileFailed("there is no C++ compiler", f"none of {', '.join(COMPILERS)}")
    key = hashlib.sha256(json.dumps([source, facts(command)]).encode()).hexdigest()[:32]
    try:
        return _kept(cache / "kernels" / f"{key}.so", source, command)
    except Unwritable as error:
        _say_once(
            f"cannot write {cache} ({error.got}): kernels are compiled for this process alone"
        )
        return _kept(Path(_own_folder().name, "kernels") / f"{key}.so", source, command)


def _kept(path: Path, source: str, command: str) -> Path:
    if _is_sound(path):
        return path
    with locked(path, "compiling the kernels of this cell", _log.warning):
        if _is_sound(path):  # made while this process waited
            return path
        binary = compiled(source, command)
        with writing(path) as file:
            file.write(binary)
        with writing(_note(path)) as note:
            note.write(json.dumps({"sha256": file.sha256}).encode())
    return path


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _is_sound(path: Path) -> bool:
    note = read_note(_note(path))
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return False
    return isinstance(note, dict) and note.get("sha256") == found


@functools.cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    return temporary_folder()  # removed with the object, at the end of the process


@functools.cache
def _say_once(line: str) -> None:
    _log.warning(line)
