"""What a run directory says of its run: config.yaml and run.json, checked and typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import yaml  # type: ignore[import-untyped]

from charlab.errors import UsageError
from charlab.runs import State, read_record, state_of


@final
@dataclass(frozen=True)
class RunFacts:
    """A run as another process finds it.

    config  the resolved configuration, plain
    record  run.json; a run that has not finished may lack any entry but those of `REQUIRED`
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


REQUIRED = ("name", "group", "status", "started", "config_hash")


def read_run(path: Path) -> RunFacts:
    """The facts of a run directory. Raises UsageError, in one line, where it is none or damaged."""
    record = read_record(path)
    missing = [entry for entry in REQUIRED if entry not in record]
    if missing:
        raise UsageError(f"run.json lacks {', '.join(missing)}")
    return RunFacts(path, state_of(path, record), _config(path / "config.yaml"), record)


def _config(file: Path) -> dict[str, Any]:
    try:
        # C's parser: one of Python takes 30 ms a run
        config: Any = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
    except FileNotFoundError:
        raise UsageError("no config.yaml in it") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"config.yaml cannot be read: {' '.join(str(error).split())}") from error
    sections = ("model", "data", "trainer", "optimizer")
    is_whole = isinstance(config, dict) and all(
        isinstance(config.get(section), dict) for section in sections
    )
    if not is_whole or "seed" not in config or "group" not in config:
        raise UsageError("config.yaml does not hold a whole configuration")
    return dict(config)
