"""Finds run directories by what a person types: folders, globs, groups."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, final

from charlab.config.nearest import did_you_mean, nearest
from charlab.errors import UsageError
from charlab.reading.facts import RunFacts, read_run

# runs/<group>/<run>: a folder of groups is looked through to here
MAX_DEPTH = 2
# folders beside run directories that are none
NOT_RUNS = ("logs", "wandb")


@final
class Unreadable(NamedTuple):
    """A folder where a run directory was expected; why: in one line."""

    path: Path
    why: str


@final
class Read(NamedTuple):
    """Run directories, each once, in the order of what was typed and of their names."""

    runs: list[RunFacts]
    unreadable: list[Unreadable]


def read_runs(words: Sequence[str], root: Path = Path("runs")) -> Read:
    """The runs that words name: a run directory, a folder of them, a glob, a group below `root`.

    No words: all below `root`. Raises UsageError for a word that names nothing; a folder among many
    that is no run directory, or a damaged one, is told in `unreadable`.
    """
    read = Read([], [])
    for path in runs_named(words, root):
        try:
            read.runs.append(read_run(path))
        except UsageError as error:
            read.unreadable.append(Unreadable(path, in_a_line(error)))
    return read


def runs_named(words: Sequence[str], root: Path = Path("runs")) -> list[Path]:
    """The folders that `read_runs` reads."""
    found: dict[Path, Path] = {}
    for folder in (folder for word in words or [str(root)] for folder in _folders(word, root)):
        for path in _candidates(folder):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _folders(word: str, root: Path) -> list[Path]:
    path = Path(word)
    # ~name of nobody is a name like any other
    with suppress(RuntimeError):
        path = path.expanduser()
    if path.is_dir():
        return [path]
    if path.name in ("run.json", "config.yaml") and path.is_file():
        return [path.parent]
    if (root / word).is_dir():
        return [root / word]
    folders = _matching(path.anchor, path) or ([] if path.is_absolute() else _matching(root, path))
    if folders:
        return folders
    groups = [folder.name for folder in root.glob("*") if folder.is_dir()] if root.is_dir() else []
    raise UsageError(
        "there are no runs here yet"
        if word == str(root) and not root.exists()
        else f"{word} names no runs{did_you_mean(nearest(word, groups))}",
        expected="a run directory, a folder of them, a glob, or a group of paths.runs",
        got="a file" if path.is_file() else "no such folder",
        hint=f"the groups in {root}: {', '.join(sorted(groups))}"
        if groups
        else "python train.py makes a run",
    )


def _matching(start: str | Path, path: Path) -> list[Path]:
    """Folders that a glob names, read from `start` on."""
    try:
        found = Path(start).glob(str(path.relative_to(path.anchor)))
        return sorted(match for match in found if match.is_dir())
    except (ValueError, OSError):
        return []


def _candidates(folder: Path, depth: int = 0) -> Iterator[Path]:
    """The run directories in a folder, and the folders among them that ought to be some."""
    try:
        inner = sorted(
            one
            for one in folder.iterdir()
            if one.is_dir() and not one.name.startswith(".") and one.name not in NOT_RUNS
        )
        is_run = (folder / "run.json").exists()
    except OSError:
        # told as unreadable
        is_run = True
    if is_run:
        yield folder
        return
    if depth == MAX_DEPTH or not inner or _was_a_run(folder):
        if depth > 0 or _was_a_run(folder):
            yield folder
        return
    for one in inner:
        yield from _candidates(one, depth + 1)


def _was_a_run(folder: Path) -> bool:
    return (folder / "config.yaml").exists() or (folder / "checkpoints").is_dir()


def in_a_line(error: UsageError) -> str:
    return ": ".join(part for part in (error.what, error.got) if part)
