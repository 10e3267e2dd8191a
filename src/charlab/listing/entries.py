"""Run directories as a list shows them, from run.json and the rows of those that are not over."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, final

from charlab.errors import UsageError
from charlab.found import State
from charlab.reading.checked import checked_record, is_number
from charlab.reading.facts import read_state
from charlab.reading.find import Unreadable, in_a_line, runs_named
from charlab.rows import Tail, parsed

VAL = "val/bpc"
TEST = "test/bpc"


@final
@dataclass(frozen=True)
class Entry:
    """A run.

    step     the last one of which there is a row; total: in all. None where nobody says
    val      the best validation up to now, test: of the best checkpoint; bits a target
    age_s    since it started where it runs, else since it ended or showed itself last
    left_s   of training, at the speed it has had; None where it does not run, or nobody knows
    error    why it ended, where it did not finish; else empty
    """

    path: Path
    group: str
    state: State
    step: int | None
    total: int | None
    val: float | None
    test: float | None
    age_s: float
    left_s: float | None
    error: str

    @property
    def name(self) -> str:
        return self.path.name

    def to_plain(self) -> dict[str, Any]:
        return {
            "run": str(self.path),
            "group": self.group,
            "state": self.state,
            "step": self.step,
            "total_steps": self.total,
            VAL: self.val,
            TEST: self.test,
            "age_s": round(self.age_s, 1),
            "left_s": None if self.left_s is None else round(self.left_s, 1),
            "error": self.error or None,
        }


@final
class Listed(NamedTuple):
    """What there is, the newest last."""

    entries: list[Entry]
    unreadable: list[Unreadable]


@final
class Listing:
    """The runs that words name, read again at each look; what has not changed is not read twice."""

    def __init__(self, words: Sequence[str], root: Path) -> None:
        self.words = words
        self.root = root
        self._records: dict[Path, tuple[tuple[int, ...], dict[str, Any]]] = {}
        self._follows: dict[Path, _Follow] = {}

    def look(self) -> Listed:
        listed = Listed([], [])
        for path in runs_named(self.words, self.root):
            try:
                listed.entries.append(self._entry(path))
            except UsageError as error:
                listed.unreadable.append(Unreadable(path, in_a_line(error)))
        # by its start, and not by its age: a list that is watched keeps its order
        listed.entries.sort(key=lambda entry: (self._started_s(entry.path), entry.name))
        return listed

    def _started_s(self, path: Path) -> float:
        return _time_s(self._records[path][1]["started"], path)

    def _record(self, path: Path) -> dict[str, Any]:
        try:
            stat = (path / "run.json").stat()
        except OSError as error:
            raise UsageError("no run.json in it") from error
        version = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if path not in self._records or self._records[path][0] != version:
            self._records[path] = (version, checked_record(path))
        return self._records[path][1]

    def _entry(self, path: Path) -> Entry:
        record = self._record(path)
        state = read_state(path, record)
        scores = record.get("scores") or {}
        step, val, left_s = record.get("num_steps"), scores.get(VAL), None
        total = record.get("total_steps")
        if state != "finished":
            follow = self._follows.setdefault(path, _Follow(path / "metrics.jsonl"))
            follow.read()
            step, val = follow.step, follow.best
            left_s = follow.left_s(total) if state == "running" else None
        elif step is None:
            step = total
        began_s = _time_s(record["started"], path)
        since_s = began_s if state == "running" else _last_sign_s(record, path)
        return Entry(
            path,
            record["group"],
            state,
            step,
            total,
            val,
            scores.get(TEST),
            max(0.0, time.time() - since_s),
            left_s,
            _error(record, state),
        )


@final
class _Follow:
    """How far a run is, by its rows."""

    def __init__(self, file: Path) -> None:
        self._tail = Tail(file)
        self.step: int | None = None
        self.best: float | None = None
        self._first: tuple[int, float] | None = None
        self._last: tuple[int, float] | None = None

    def read(self) -> None:
        lines = self._tail.lines()
        # most rows are of training, and of those the first and the last say all
        scored = [line for line in lines[1:-1] if b'"val/bpc"' in line]
        for row in parsed([*lines[:1], *scored, *lines[1:][-1:]]):
            self._take(row)

    def _take(self, row: Mapping[str, Any]) -> None:
        self.step = row["step"]
        val, seconds = _number(row.get(VAL)), _number(row.get("seconds"))
        if val is not None:
            self.best = val if self.best is None else min(val, self.best)
        if seconds is not None:
            self._last = (row["step"], seconds)
            self._first = self._first or self._last

    def left_s(self, total: int | None) -> float | None:
        if total is None or self._first is None or self._last is None:
            return None
        steps, seconds = self._last[0] - self._first[0], self._last[1] - self._first[1]
        return max(0, total - self._last[0]) * seconds / steps if steps > 0 else None


def _error(record: Mapping[str, Any], state: State) -> str:
    told = record.get("error")
    return str(told) if told and state not in ("finished", "running") else ""


def _last_sign_s(record: Mapping[str, Any], path: Path) -> float:
    if record.get("ended"):
        return _time_s(record["ended"], path)
    file = path / "metrics.jsonl"
    return (file if file.exists() else path / "run.json").stat().st_mtime


def _time_s(told: str, path: Path) -> float:
    """A time of run.json, since the epoch; where it is none, that of the file."""
    try:
        return datetime.fromisoformat(told).timestamp()
    except ValueError:
        return (path / "run.json").stat().st_mtime


def _number(value: Any) -> float | None:
    return float(value) if is_number(value) else None
