"""Run directories as another process finds them: what became of each. Imports no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, final, get_args

from charlab.claims import holder_of
from charlab.runs import Status, read_record

# "interrupted" where it is not at its end and no process has it any more
State = Literal["finished", "running", "interrupted", "failed", "pruned"]
STATES: tuple[State, ...] = get_args(State)


@final
class Found(NamedTuple):
    """A run directory as another process finds it."""

    path: Path
    state: State
    record: dict[str, Any]


def state_of(path: Path, record: Mapping[str, Any]) -> State:
    """What became of a run, as far as another process can see."""
    status: Status = record["status"]
    if status == "running" or status == "preempted":
        return "interrupted" if holder_of(path) is None else "running"
    return status


def runs_of(folder: Path, name: str) -> list[Found]:
    """The run directories <name>, <name>-2, ... in a folder, the oldest first.

    Without those whose budget has been extended: by now they are of another configuration.
    Raises UsageError where the record of one is damaged: it may be of a finished run.
    """
    found: list[Found] = []
    for path in sorted(folder.glob(f"{name}*"), key=_number):
        is_numbered = path.name == name or path.name[len(name) + 1 :].isdigit()
        if is_numbered and (path / "run.json").exists():
            record = read_record(path)
            if name.endswith(str(record.get("config_hash", ""))):
                found.append(Found(path, state_of(path, record), record))
    return found


def find_run(folder: Path, name: str) -> Found | None:
    """The run directory <name>, <name>-2, ... in a folder that says most of what became of it.

    A finished one before one that is running, interrupted, failed or pruned; the newest of a state.
    """
    newest_first = reversed(runs_of(folder, name))
    return min(newest_first, key=lambda found: STATES.index(found.state), default=None)


def _number(path: Path) -> int:
    last = path.name.rpartition("-")[2]
    return int(last) if last.isdigit() and len(last) < 8 else 1
