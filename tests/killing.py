"""Runs that are killed somewhere, in forks of this process: real kills without the imports."""

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .running import rows, train

# what differs from process to process
TIMES = {"seconds", "perf/chars_per_s", "perf/step_ms", "perf/epoch_s"}


class Blow(NamedTuple):
    """A signal when a function is called for the n-th time in a process, before or after it runs.

    place  "module:Class.function", as an import would find it
    """

    place: str
    call: int
    signum: int = signal.SIGKILL
    after: bool = False


def strike(blow: Blow) -> None:
    """Let this process get its blow."""
    module, _, path = blow.place.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    whole, calls = getattr(owner, name), 0

    def struck(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == blow.call and not blow.after:
            os.kill(os.getpid(), blow.signum)
        value = whole(*arguments, **named)
        if calls == blow.call and blow.after:
            os.kill(os.getpid(), blow.signum)
        return value

    setattr(owner, name, struck)


class Timed(NamedTuple):
    """A signal so many seconds after a process has begun."""

    after_s: float
    signum: int


def train_in_fork(folder: Path, *overrides: str, blow: Blow | Timed | None = None) -> int:
    """The exit code of `train` in a fork, 128 + N where signal N ended it."""
    assert torch.get_num_threads() == 1  # threads do not survive a fork
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 99
        with contextlib.suppress(BaseException):
            if isinstance(blow, Blow):
                strike(blow)
            sys.stdout = sys.stderr = (folder / "log.txt").open("a", buffering=1)
            try:
                code, _ = train(folder, *overrides)
            except SystemExit as end:
                code = int(end.code or 0)
            except BaseException:
                traceback.print_exc()
        os._exit(code)
    timer = None
    if isinstance(blow, Timed):
        timer = threading.Timer(blow.after_s, os.kill, (child, blow.signum))
        timer.start()
    # the child stays a zombie until the timer is over, so that its pid is nobody else's
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    if timer is not None:
        timer.cancel()
        timer.join()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def metrics(run: Path) -> list[dict[str, Any]]:
    """Its rows, without times."""
    return [
        {name: value for name, value in row.items() if name not in TIMES}
        for row in rows(run / "metrics.jsonl")
    ]


def differences(value: Any, other: Any, where: str = "") -> Iterator[str]:
    """Where two nested containers of tensors differ, by a single bit."""
    if type(value) is not type(other):
        yield f"{where}: {type(value).__name__} and {type(other).__name__}"
    elif isinstance(value, torch.Tensor):
        if not torch.equal(value, other):
            yield where
    elif isinstance(value, dict):
        if value.keys() != other.keys():
            yield f"{where}: {sorted(value.keys() ^ other.keys())}"
        for key in value.keys() & other.keys():
            yield from differences(value[key], other[key], f"{where}.{key}")
    elif isinstance(value, list | tuple):
        if len(value) != len(other):
            yield f"{where}: {len(value)} and {len(other)}"
        for number, (one, two) in enumerate(zip(value, other)):
            yield from differences(one, two, f"{where}[{number}]")
    elif value != other and not (value != value and other != other):
        yield f"{where}: {value} and {other}"


def results(run: Path) -> dict[str, Any]:
    """All that a run leaves, but for times."""
    record = json.loads((run / "run.json").read_text())
    found: dict[str, Any] = {
        "record": {
            name: record.get(name) for name in ("status", "scores", "chars_seen", "samples")
        },
        "metrics": metrics(run),
        "samples": rows(run / "samples.jsonl") if (run / "samples.jsonl").exists() else [],
        "diagnostics": rows(path) if (path := run / "diagnostics.jsonl").exists() else [],
        "files": sorted(path.name for path in (run / "checkpoints").iterdir()),
    }
    for name in ("best", "last"):
        checkpoint = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)
        parts = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")
        found[name] = {part: checkpoint.get(part) for part in parts}
        found[name]["scores"] = checkpoint["charlab"]["scores"]
        if name == "last":
            found[name]["ranks"] = checkpoint["training"]["ranks"]
            found[name]["callbacks"] = {
                key: state
                for key, state in checkpoint["callbacks"].items()
                if key not in ("TrainLog", "EpochLog")
            }
    return found
