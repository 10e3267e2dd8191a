"""The run directory: the record of a run. The dashboard is a copy of it.

    runs/<group>/<slug>-<hash>/
        config.yaml      the resolved configuration
        overrides.txt    what was typed to get it, one override a line
        run.json         status, W&B id, code, versions, hardware, data, model, scores, times
        metrics.jsonl    one object a row: step, chars_seen, seconds, then metrics by name
        samples.jsonl    one object a sample: step, prompt, temperature, text, ended
        checkpoints/     last.ckpt, best.ckpt
        wandb/

Imports no torch.
"""

import hashlib
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple, final, get_args

from omegaconf import OmegaConf

import charlab
from charlab.errors import UsageError

Status = Literal["running", "finished", "failed", "pruned"]
# of a run that is looked at from outside; "interrupted" where nobody is running it any more
State = Literal["finished", "running", "interrupted", "failed", "pruned"]
STATES: tuple[State, ...] = get_args(State)
PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "omegaconf", "wandb", "numpy")


def config_hash(config: Mapping[str, Any]) -> str:
    """8 hex digits that name a configuration, all but its `paths`."""
    content = {key: value for key, value in config.items() if key != "paths"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def slug(config: Mapping[str, Any]) -> str:
    """A short name made of letters, digits, "_", "-" and ".", fit for shells and file systems."""
    model = config["model"]
    size = (
        f"p{model['match_params']:.3g}" if model["match_params"] else f"h{model['hidden_size']}"
    ).replace("+", "")
    return f"{model['cell']}-{model['num_layers']}x{size}-s{config['seed']}"


def run_name(config: Mapping[str, Any]) -> str:
    """What the run directory of a configuration is called, but for a number after it."""
    return f"{slug(config)}-{config_hash(config)}"


@final
class Found(NamedTuple):
    """A run directory as another process finds it."""

    path: Path
    state: State
    record: dict[str, Any]


def find_run(folder: Path, name: str) -> Found | None:
    """The run directory <name>, <name>-2, ... in a folder that says most of what became of it.

    A finished one before one that is running, interrupted, failed or pruned; the newest of a state.
    """
    best: Found | None = None
    for path in sorted(folder.glob(f"{name}*"), key=_number):
        if path.name == name or path.name[len(name) + 1 :].isdigit():
            try:
                record = read_record(path)
            except UsageError:  # it is being made
                continue
            state: State = record["status"]
            if best is None or STATES.index(state) <= STATES.index(best.state):
                best = Found(path, state, record)
    return best


def _number(path: Path) -> int:
    last = path.name.rpartition("-")[2]
    return int(last) if last.isdigit() and len(last) < 8 else 1


@final
class Run:
    """A run directory, and the record that this process has of the run.

    writes  false in a process that shares the run with the one that writes it: its entries, rows
            and samples go no further than `record`
    """

    def __init__(self, path: Path, record: dict[str, Any], *, writes: bool = True) -> None:
        self.path = path
        self.record = record
        self.writes = writes
        self._started_s = time.monotonic()

    @classmethod
    def shared(cls, path: Path) -> "Run":
        """The run that another process of the same job has made."""
        return cls(path, {}, writes=False)

    @classmethod
    def create(cls, config: Mapping[str, Any], overrides: Sequence[str], runs: Path) -> "Run":
        """Make a new directory for the configuration: <slug>-<hash>, then -2, -3 beside it.

        Raises UsageError where it cannot be made.
        """
        name = run_name(config)
        parent = runs / str(config["group"])
        try:
            path = _make_new(parent, name)
        except OSError as error:
            raise UsageError(
                f"cannot make a run directory in {parent}",
                expected="a folder that can be written",
                got=error.strerror or str(error),
                hint="paths.runs=FOLDER puts the runs elsewhere",
                option="paths.runs",
            ) from error
        run = cls(path, {})
        (path / "checkpoints").mkdir()
        (path / "config.yaml").write_text(
            OmegaConf.to_yaml(OmegaConf.create(dict(config))), encoding="utf-8"
        )
        (path / "overrides.txt").write_text(
            "".join(f"{override}\n" for override in overrides), encoding="utf-8"
        )
        run.update(
            name=path.name,
            group=str(config["group"]),
            status="running",
            started=_now(),
            ended=None,
            config_hash=config_hash(config),
            command=[Path(sys.argv[0]).name, *overrides],
            git=git_state(Path(charlab.__file__).parent),
            versions=_versions(),
            hardware=_hardware(),
        )
        return run

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started_s

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def update(self, **entries: Any) -> None:
        """Write entries of run.json; a reader sees the file as it was or as it is, never half."""
        self.record.update(_finite(entries))
        if not self.writes:
            return
        replacement = self.path / "run.json.new"
        replacement.write_text(
            json.dumps(self.record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        replacement.replace(self.path / "run.json")

    def end(self, status: Status, **entries: Any) -> None:
        self.update(status=status, ended=_now(), seconds=round(self.seconds, 3), **entries)

    def add_metrics(self, step: int, chars_seen: int, metrics: Mapping[str, float]) -> None:
        row = {"step": step, "chars_seen": chars_seen, "seconds": round(self.seconds, 3)}
        self._append("metrics.jsonl", [row | _finite(metrics)])

    def add_samples(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._append("samples.jsonl", rows)

    def _append(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        if not self.writes:
            return
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def mark_failed(path: Path, error: str) -> None:
    """Say in run.json that the run failed, for a process that could not or did not know why."""
    mark_ended(path, "failed", error)


def mark_ended(path: Path, status: Status, error: str) -> None:
    """Say in run.json how the run ended, and why, for its process, which cannot."""
    record = read_record(path)
    times = {}
    if record["ended"] is None:
        lasted = datetime.now(UTC) - datetime.fromisoformat(record["started"])
        times = {"ended": _now(), "seconds": round(lasted.total_seconds(), 3)}
    Run(path, record).update(status=status, error=error, **times)


def _finite(value: Any) -> Any:
    """The value with null for every number that is not finite: JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_record(path: Path) -> dict[str, Any]:
    """run.json of a run directory. Raises UsageError where the path is no run directory."""
    try:
        record = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} is not a run directory",
            expected="a folder with run.json, config.yaml and checkpoints/",
            got="no such folder" if not path.exists() else _reason(path, error),
            hint=_suggest_runs(path),
        ) from error
    if not isinstance(record, dict):
        raise UsageError(f"{path / 'run.json'} does not hold a record", expected="a JSON object")
    return record


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "no run.json in it"
    return f"run.json: {error}"


def _suggest_runs(path: Path) -> str:
    """The newest run directories near a path that is none: not the whole disk for a typo."""
    near = next((folder for folder in (path, *path.parents[:2]) if folder.is_dir()), Path("runs"))
    patterns = ("*/run.json", "*/*/run.json") if len(near.resolve().parts) > 2 else ()
    files = {file for pattern in patterns for file in near.glob(pattern)}
    files |= set(Path("runs").glob("*/*/run.json"))
    found = sorted(files, key=lambda file: file.stat().st_mtime)[-3:]
    runs = [str(file.parent) for file in reversed(found)]
    return "one of the newest runs: " + ", ".join(runs) if runs else "python train.py makes one"


def _make_new(parent: Path, name: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()  # exclusive: of two processes, one gets the name
            return path
        except FileExistsError:
            number += 1


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_state(folder: Path) -> dict[str, Any]:
    """Commit and dirty flag of the code, None where it is not a git checkout."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    code = (":/src", ":/conf", ":/train.py")
    changes = git("status", "--porcelain", "--", *code) if commit else None
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "charlab": charlab.__version__}
    return found | {package: metadata.version(package) for package in PACKAGES}


def _hardware() -> dict[str, Any]:
    return {
        "machine": platform.machine(),
        "system": platform.platform(),
        "cpu": _cpu_name(),
        "cpu_cores": os.cpu_count(),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
