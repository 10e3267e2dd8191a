"""What a run directory says of its run: config.yaml and run.json, checked and typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

from charlab.errors import UsageError
from charlab.found import State, state_of
from charlab.reading.checked import checked_record, read_config


@final
@dataclass(frozen=True)
class RunFacts:
    """A run as another process finds it.

    config  the resolved configuration, plain
    record  run.json; a run that has not finished may lack any entry but those of
            `checked.REQUIRED`
    """

    path: Path
    state: State
    config: dict[str, Any]
    record: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def group(self) -> str:
        return str(self.config["group"])

    @property
    def seed(self) -> int:
        return int(self.config["seed"])

    @property
    def cell(self) -> str:
        return str(self.config["model"]["cell"])

    @property
    def unit(self) -> str:
        """What a target is called: "char" or "byte"."""
        return str(self.data.get("unit", "char"))

    @cached_property
    def data(self) -> Mapping[str, Any]:
        return self.record.get("data") or {}

    @cached_property
    def model(self) -> Mapping[str, Any]:
        return self.record.get("model") or {}

    @cached_property
    def scores(self) -> Mapping[str, Any]:
        return self.record.get("scores") or {}

    def score(self, name: str) -> float | None:
        """A score such as "test/bpc", in bits a target; None where there is no finite one."""
        value = self.scores.get(name)
        return float(value) if isinstance(value, int | float) else None

    @property
    def chars_per_s(self) -> float | None:
        """Targets trained on a second, without validation, samples and checkpoints."""
        seen, train_s = self.record.get("chars_seen"), self.record.get("train_s")
        return seen / train_s if seen and train_s else None


def read_run(path: Path) -> RunFacts:
    """The facts of a run directory. Raises UsageError, in one line, where it is none or damaged."""
    record = checked_record(path)
    return RunFacts(path, read_state(path, record), read_config(path), record)


def read_state(path: Path, record: Mapping[str, Any]) -> State:
    """`state_of`. Raises UsageError, in one line, where claim.json is damaged."""
    try:
        return state_of(path, record)
    except (ValueError, LookupError, RecursionError) as error:
        raise UsageError("claim.json is damaged") from error
