"""The run directory: the record of a run. The dashboard is a copy of it. Imports no torch.

runs/<group>/<slug>-<hash>/
    config.yaml      the resolved configuration
    overrides.txt    what was typed to get it, one override a line
    run.json         status, W&B id, code, versions, hardware, data, model, scores, times
    metrics.jsonl    one object a row: step, chars_seen, seconds, then metrics by name
    samples.jsonl    one object a sample: step, prompt, temperature, text, ended
    diagnostics.jsonl  one object a measurement, where they are made
    checkpoints/     last.ckpt, best.ckpt
    wandb/
    claim.json       while a process runs it: which one
"""

import errno
import json
import secrets
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, final, get_args

from omegaconf import OmegaConf

from charlab import rows
from charlab.claims import Claim
from charlab.errors import CannotWrite, UsageError
from charlab.not_a_run import not_a_run
from charlab.provenance import provenance
from charlab.run_names import config_hash, run_name

# preempted: ended by a signal, to go on later
Status = Literal["running", "finished", "failed", "pruned", "preempted"]
BUDGET = ("max_steps", "max_epochs")
# what run.json says of a run that is over
OUTCOME = (
    "ended",
    "scores",
    "train_s",
    "chars_seen",
    "num_steps",
    "peak_memory_bytes",
    "peak_device_memory_bytes",
    "samples",
    "seconds",
)
ROWS = ("metrics.jsonl", "samples.jsonl", "diagnostics.jsonl")


def budget(config: Mapping[str, Any]) -> dict[str, Any]:
    """What says how long a run trains, and may grow when it goes on."""
    return {name: config["trainer"][name] for name in BUDGET}


@final
class Run:
    """A run directory, and the record that this process has of the run.

    writes  false in a process that shares the run with the one that does: it has `record` alone
    claim   that of the process that writes the run
    is_new  false where an earlier process has begun it
    """

    def __init__(
        self, path: Path, record: dict[str, Any], *, writes: bool = True, claim: Claim | None = None
    ) -> None:
        self.path = path
        self.record = record
        self.writes = writes
        self.claim = claim
        self.is_new = True
        # seconds that earlier processes took, up to the checkpoint that this one goes on from
        self._before_s = 0.0
        self._started_s = time.monotonic()

    @classmethod
    def shared(cls, path: Path) -> "Run":
        """The run that another process of the same job has made."""
        return cls(path, {}, writes=False)

    @classmethod
    def create(cls, config: Mapping[str, Any], overrides: Sequence[str], runs: Path) -> "Run":
        """Make a new directory for the configuration: <slug>-<hash>, then -2, -3 beside it.

        It is there whole and claimed, or not at all. Raises UsageError where it cannot be made.
        """
        parent = runs / str(config["group"])
        record = {
            "name": run_name(config),
            "group": str(config["group"]),
            "status": "running",
            "started": _now(),
            "ended": None,
            "config_hash": config_hash(config),
            "budget": budget(config),
            "command": _command(overrides),
            **provenance(),
        }
        draft = parent / f".{record['name']}.{secrets.token_hex(4)}"
        try:
            draft.mkdir(parents=True)
            run = cls(draft, {}, claim=Claim(draft))
            run.checkpoints.mkdir()
            OmegaConf.save(OmegaConf.create(dict(config)), draft / "config.yaml")
            typed = "".join(f"{override}\n" for override in overrides)
            (draft / "overrides.txt").write_text(typed, encoding="utf-8")
            run.update(**record)
            run._settle(parent)
        except (OSError, CannotWrite) as error:
            shutil.rmtree(draft, ignore_errors=True)
            told = error.got if isinstance(error, CannotWrite) else error.strerror or str(error)
            raise UsageError(
                f"cannot make a run directory in {parent}",
                expected="a folder that can be written",
                got=told,
                hint="paths.runs=FOLDER puts the runs elsewhere",
                option="paths.runs",
            ) from error
        return run

    def _settle(self, parent: Path) -> None:
        """Move the directory to the first name that is free."""
        name, number = self.record["name"], 1
        assert self.claim is not None
        while True:
            path = parent / (name if number == 1 else f"{name}-{number}")
            self.update(name=path.name)
            try:
                self.path.rename(path)  # exclusive, as no run directory is empty
                break
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    raise
                number += 1
        self.claim.run = self.path = path

    @classmethod
    def take(cls, path: Path) -> "Run":
        """A run that was interrupted, to go on with it; while `deciding` about its folder.

        Raises Held where a live process has it.
        """
        run = cls(path, read_record(path), claim=Claim(path))
        run.is_new = False
        return run

    def go_on(self, step: int | None, seconds: float) -> None:
        """Take back what was recorded after a step, and go on; from the start where it is None.

        seconds: what the run had taken by then
        """
        for name in ROWS:
            rows.keep_until(self.path / name, step)
        if step is None:
            for name in ("checkpoints", "csv", "tensorboard"):
                shutil.rmtree(self.path / name, ignore_errors=True)
            self.checkpoints.mkdir()
        self._before_s, self._started_s = seconds, time.monotonic()
        self.record.pop("error", None)
        facts = {name: new for name, new in provenance().items() if new != self.record.get(name)}
        entry = {"at": _now(), "from_step": step or 0, "command": _command(sys.argv[1:]), **facts}
        resumed = [*self.record.get("resumed", []), entry]
        self.update(status="running", ended=None, resumed=resumed)

    def extend(self, config: Mapping[str, Any], from_step: int) -> None:
        """Take over the budget of a configuration, and record what the run had come to."""
        file = self.path / "config.yaml"
        own = OmegaConf.load(file)
        for name, value in budget(config).items():
            OmegaConf.update(own, f"trainer.{name}", value)
        # before run.json: where only this is done, the next process sees that they differ
        rows.replace(file, OmegaConf.to_yaml(own).encode(), durable=True)
        before = {name: self.record.pop(name) for name in OUTCOME if name in self.record}
        entry: dict[str, Any] = {
            "at": _now(),
            "from_step": from_step,
            "budget": self.record["budget"],
            "config_hash": self.record["config_hash"],
            **{name: before[name] for name in ("scores", "train_s") if name in before},
        }
        plain = OmegaConf.to_container(own)
        assert isinstance(plain, dict)
        self.update(
            status="running",
            ended=None,
            extended=[*self.record.get("extended", []), entry],
            budget=budget(config),
            config_hash=config_hash({str(key): value for key, value in plain.items()}),
        )

    @property
    def num_resumed(self) -> int:
        return len(self.record.get("resumed", []))

    def check_claim(self) -> None:
        """Raise Held where another process has taken the run over."""
        if self.claim is not None:
            self.claim.check()

    def release(self) -> None:
        """Let other processes take the run from now on."""
        if self.claim is not None:
            self.claim.release()

    @property
    def seconds(self) -> float:
        """Time since the run started, without that between its processes."""
        return self._before_s + time.monotonic() - self._started_s

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def update(self, **entries: Any) -> None:
        """Write entries of run.json; a reader sees the file as it was or as it is, never half."""
        self.record.update(rows.finite(entries))
        if not self.writes:
            return
        text = json.dumps(self.record, indent=2, ensure_ascii=False) + "\n"
        rows.replace(self.path / "run.json", text.encode(), durable="status" in entries)

    def end(self, status: Status, **entries: Any) -> None:
        self.update(status=status, ended=_now(), seconds=round(self.seconds, 3), **entries)

    def add_metrics(self, step: int, chars_seen: int, metrics: Mapping[str, float]) -> None:
        row = {"step": step, "chars_seen": chars_seen, "seconds": round(self.seconds, 3)}
        self._append("metrics.jsonl", [row | rows.finite(metrics)])

    def add_samples(self, drawn: Iterable[Mapping[str, Any]]) -> None:
        self._append("samples.jsonl", drawn)

    def add_diagnostics(self, measured: Mapping[str, Any]) -> None:
        self._append("diagnostics.jsonl", [rows.finite(measured)])

    def _append(self, name: str, added: Iterable[Mapping[str, Any]]) -> None:
        if self.writes:
            rows.append(self.path / name, added)

    def sync(self) -> None:
        """Have all rows on the disk: those up to a checkpoint's step must not be lost before it."""
        for name in ROWS:
            rows.sync(self.path / name)


def mark_ended(path: Path, status: Status, error: str) -> None:
    """Say in run.json how the run ended, and why, for its process, which cannot."""
    record = read_record(path)
    times = {}
    if record["ended"] is None:
        lasted = datetime.now(UTC) - datetime.fromisoformat(record["started"])
        times = {"ended": _now(), "seconds": round(lasted.total_seconds(), 3)}
    Run(path, record).update(status=status, error=error, **times)


def read_record(path: Path) -> dict[str, Any]:
    """run.json of a run directory. Raises UsageError where the path is no run directory."""
    try:
        record = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise not_a_run(path, error) from error
    if not isinstance(record, dict) or record.get("status") not in get_args(Status):
        expected = f"a JSON object with a status: {', '.join(get_args(Status))}"
        raise UsageError(
            f"{path / 'run.json'} does not hold a record",
            expected=expected,
            got=repr(record)[:60],
            hint="a copy of the run, where there is one",
        )
    return record


def _command(words: Sequence[str]) -> list[str]:
    return [Path(sys.argv[0]).name, *words]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
