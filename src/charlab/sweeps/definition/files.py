"""Sweep files in W&B's format, read and checked: what is swept, how, and by which score.

What W&B's server warns about or its agents cannot run is refused here, so that a file that
`charlab sweep` takes runs under `wandb sweep` and `wandb agent` too. The one exception are nested
parameters, which agents hand on as a dict.
"""

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, final, get_args

from charlab.config.mistakes import plain
from charlab.config.nearest import did_you_mean, nearest
from charlab.errors import UsageError
from charlab.sweeps.definition.distributions import Choice, Distribution
from charlab.sweeps.definition.hyperband import Hyperband, read_hyperband
from charlab.sweeps.definition.parameters import read_parameters
from charlab.sweeps.definition.strict_yaml import read_yaml

Method = Literal["grid", "random", "bayes"]
Goal = Literal["minimize", "maximize"]
METHODS: tuple[Method, ...] = get_args(Method)
GOALS: tuple[Goal, ...] = get_args(Goal)

SWEEPS = Path("sweeps")
KEYS = (
    "program",
    "method",
    "metric",
    "command",
    "parameters",
    "early_terminate",
    "run_cap",
    "name",
    "description",
    # where W&B puts the sweep; runs that are started here say it by logger.wandb
    "project",
    "entity",
)
SEARCH = ("method", "metric", "parameters", "early_terminate")
COMMAND = ("${env}", "${interpreter}", "${program}", "${args_no_hyphens}")
# words of a command that mean nothing here: every job is started so
ONCE = "--once"
METRICS = (
    "val/bpc",
    "val/loss",
    "val/bits_per_byte",  # characters of a text
    "val/nats_per_name",  # names
    "train/bpc",
    "train/loss",
    "train/grad_norm",
    "epoch/bpc",
    "epoch/loss",
    "perf/chars_per_s",
    "perf/step_ms",
    "perf/epoch_s",
)


@final
@dataclass(frozen=True)
class Metric:
    """The score that trials are judged by; `target` is good enough to start no more."""

    name: str = "val/bpc"
    goal: Goal = "minimize"
    target: float | None = None

    def reaches_target(self, value: float) -> bool:
        if self.target is None:
            return False
        return value <= self.target if self.goal == "minimize" else value >= self.target


@final
@dataclass(frozen=True)
class SweepFile:
    """A sweep file.

    path        the file
    program     the script of each job, which has conf/ beside it
    overrides   what its command says beside the parameters
    parameters  what is swept, by option, in W&B's order
    num_trials  its run_cap
    definition  what it says of the search, in one form however the file is laid out
    """

    path: Path
    program: Path
    method: Method
    metric: Metric
    overrides: tuple[str, ...]
    parameters: Mapping[str, Distribution]
    hyperband: Hyperband | None
    num_trials: int | None
    definition: str


def read_sweep_file(path: Path) -> SweepFile:
    """Raises UsageError for a file that is none, with what W&B or its agents would stumble over."""
    try:
        given = read_yaml(path)
    except FileNotFoundError as error:
        raise _no_file(path) from error
    try:
        return _read(path, given)
    except UsageError as error:
        raise UsageError(
            f"{path}: {error.what}",
            expected=error.expected,
            got=error.got,
            hint=error.hint,
            option=error.option,
        ) from error


def _no_file(path: Path) -> UsageError:
    """Names the file that was probably meant, in its folder or among the shipped ones."""
    there = {file.stem: file for file in sorted(path.parent.glob("*.yaml"))}
    shipped = {file.stem: file for file in sorted(SWEEPS.glob("*.yaml"))}
    guesses = nearest(path.stem, there) or nearest(path.stem, shipped)
    meant = [str((there | shipped)[guess]) for guess in guesses[:1]]
    return UsageError(
        f"there is no file {path}",
        expected=f"one of {', '.join(map(str, (there or shipped).values()))}",
        got=str(path),
        hint=shlex.join(["charlab", "sweep", *meant]) if meant else "",
    )


def _read(path: Path, given: Any) -> SweepFile:
    if not isinstance(given, Mapping):
        raise UsageError("it is no sweep", expected="a YAML mapping with method and parameters")
    for key in given:
        if key not in KEYS:
            raise UsageError(
                f"it has {plain(key)}, which is unknown{did_you_mean(nearest(str(key), KEYS))}",
                expected=f"some of {', '.join(KEYS)}",
                got=plain(key),
            )
    method = _one_of(given, "method", METHODS)
    parameters = read_parameters(given.get("parameters"))
    hyperband = read_hyperband(given["early_terminate"]) if given.get("early_terminate") else None
    if given.get("metric") is None and (method == "bayes" or hyperband is not None):
        raise UsageError(
            "it has no metric",
            expected=f"one for {'early_terminate' if hyperband else 'method: bayes'}",
            hint="metric: {name: val/bpc, goal: minimize}",
        )
    _check_drawable(method, parameters)
    return SweepFile(
        path=path,
        program=_program(path, given.get("program")),
        method=cast(Method, method),
        metric=Metric() if given.get("metric") is None else _metric(given["metric"]),
        overrides=_overrides(given.get("command")),
        parameters=parameters,
        hyperband=hyperband,
        num_trials=_run_cap(given.get("run_cap")),
        definition=json.dumps({key: given.get(key) for key in SEARCH}, sort_keys=True),
    )


def _check_drawable(method: str, parameters: Mapping[str, Distribution]) -> None:
    for name, distribution in parameters.items():
        if method == "grid" and distribution.num_values() is None:
            raise UsageError(
                f"parameters.{name} has endlessly many values, or values of unlike probability",
                expected="value, values, int_uniform or q_uniform in a grid",
                got=str(distribution),
                hint="method: random",
                option=name,
            )
        is_weighted = isinstance(distribution, Choice) and distribution.probabilities is not None
        if method == "bayes" and is_weighted:
            raise UsageError(
                f"parameters.{name} has probabilities, which a search by scores does not keep to",
                expected="values alone, or method: random",
                got=str(distribution),
                option=name,
            )


def _one_of(given: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value = given.get(key)
    if value not in choices:
        guesses = nearest(str(value), choices) if isinstance(value, str) else []
        raise UsageError(
            f"{key} is {plain(value)}{did_you_mean(guesses)}",
            expected=f"one of {', '.join(choices)}",
            got=plain(value),
        )
    return cast(str, value)


def _metric(given: Any) -> Metric:
    if not isinstance(given, Mapping) or set(given) - {"name", "goal", "target"}:
        raise UsageError(
            "metric is of another form",
            expected="name, and goal (minimize or maximize) and target where they are wanted",
            got=str(given),
            hint="metric: {name: val/bpc, goal: minimize}",
        )
    name, target = given.get("name"), given.get("target")
    if name not in METRICS:
        guesses = nearest(str(name), METRICS)
        is_test = str(name).startswith("test/")
        raise UsageError(
            f"metric.name {plain(name)} is a score on test: choices are made on validation"
            if is_test
            else f"metric.name {plain(name)} is not logged{did_you_mean(guesses)}",
            expected=f"one of {', '.join(METRICS)}",
            got=plain(name),
        )
    goal = _one_of({"goal": "minimize", **given}, "goal", GOALS)
    is_number = isinstance(target, int | float) and not isinstance(target, bool)
    if target is not None and not (is_number and math.isfinite(target)):
        raise UsageError("metric.target is no number", expected="a number", got=plain(target))
    return Metric(name, cast(Goal, goal), target)


def _program(path: Path, given: Any) -> Path:
    """Relative to here, as agents have it, else to the folders that the file is in."""
    if not isinstance(given, str):
        raise UsageError("it has no program", expected="program: train.py", got=plain(given))
    near = path.resolve().parents[:2]
    places = [Path(given), *(folder / given for folder in near)]
    for place in places:
        if place.is_file() and (place.parent / "conf").is_dir():
            return place.resolve()
    raise UsageError(
        f"program {given} is not here, or has no conf/ beside it",
        expected="train.py, from the folder that holds it",
        got=given,
        hint="cd to the folder of train.py",
    )


def _overrides(given: Any) -> tuple[str, ...]:
    """What a command says beside the macros: overrides of every job."""
    words = given if isinstance(given, list) else []
    fixed = [word for word in words if word not in (*COMMAND, ONCE)]
    are_overrides = all(isinstance(word, str) and "=" in word for word in fixed)
    if COMMAND[-1] not in words or not are_overrides:
        raise UsageError(
            "its command does not start train.py with OPTION=VALUE",
            expected="these words, and overrides after ${program} where they are wanted",
            got=str(given),
            hint="command: [" + ", ".join(f'"{word}"' for word in COMMAND) + "]",
        )
    return tuple(fixed)


def _run_cap(given: Any) -> int | None:
    if given is not None and (type(given) is not int or given < 1):
        raise UsageError(
            "run_cap is of another type", expected="a whole number >= 1", got=plain(given)
        )
    return None if given is None else int(given)
