"""When a trial is pruned: W&B's `early_terminate: {type: hyperband}`.

One bracket of asynchronous successive halving (Li et al. 2020, "A System for Massively Parallel
Hyperparameter Tuning"): at the rungs b_1 < b_2 < ... a trial goes on if it is among the best
1/eta of those that have come so far. An iteration is one logged value of the metric: one
validation, for a score on val.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from charlab.config.nearest import did_you_mean, nearest
from charlab.errors import UsageError

KEYS = ("type", "min_iter", "max_iter", "s", "eta", "strict")
MAX_RUNGS = 100
EXAMPLE = "early_terminate: {type: hyperband, min_iter: 2}"


@final
@dataclass(frozen=True)
class Hyperband:
    """The rungs, and who is stopped at one.

    rungs      numbers of iterations, ascending
    eta        one of eta trials goes on
    is_strict  the value at the rung counts; otherwise the best one up to now
    """

    rungs: tuple[int, ...]
    eta: float
    is_strict: bool

    def stops(self, trial: Sequence[float], others: Sequence[Sequence[float]]) -> bool:
        """Whether a trial ends here; values are of the metric, smaller is better.

        trial   its values so far, one an iteration
        others  those of all other trials, ended or not
        """
        passed = [rung for rung in self.rungs if rung <= len(trial)]
        if not passed:
            return False
        rung = passed[-1]
        there = sorted(values[rung - 1] for values in (trial, *others) if len(values) >= rung)
        limit = there[int(len(there) / self.eta)]
        return (trial[rung - 1] if self.is_strict else min(trial)) > limit


def read_hyperband(given: Any) -> Hyperband:
    """Raises UsageError for what W&B does not take."""
    if not isinstance(given, Mapping):
        raise _mistake("is of another form", "a mapping", given)
    for key in given:
        if key not in KEYS:
            raise _mistake(
                f"has {key}, which is unknown{did_you_mean(nearest(str(key), KEYS))}",
                ", ".join(KEYS),
                key,
            )
    if given.get("type") != "hyperband":
        raise _mistake(f"is of type {given.get('type')}", "type: hyperband", given.get("type"))
    eta, is_strict = _number(given, "eta", 3), given.get("strict", True)
    if eta <= 1:
        raise _mistake(f"has eta {eta:g}", "more than 1: one of eta trials goes on", eta)
    if not isinstance(is_strict, bool):
        raise _mistake(f"has strict {is_strict}", "strict: true or false", is_strict)
    if ("min_iter" in given) == ("max_iter" in given):
        raise _mistake("has no first or last rung", "min_iter, or max_iter and s", dict(given))
    if "min_iter" in given:
        first = _whole(given, "min_iter")
        rungs = {int(first * eta**power) for power in range(MAX_RUNGS) if eta**power < 1e9}
    else:
        last, count = _whole(given, "max_iter"), _whole(given, "s")
        rungs = {int(last / eta**power) for power in range(1, min(count, MAX_RUNGS) + 1)} - {0}
    if not rungs:
        raise _mistake("has no rung of one iteration or more", "a larger max_iter", dict(given))
    return Hyperband(tuple(sorted(rungs)), eta, is_strict)


def _number(given: Mapping[str, Any], key: str, default: float) -> float:
    value = given.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mistake(f"has {key} {value}", f"{key}: a number", value)
    return value


def _whole(given: Mapping[str, Any], key: str) -> int:
    value = given.get(key)
    if type(value) is not int or value < 1:
        raise _mistake(f"has {key} {value}", f"{key}: a whole number >= 1", value)
    return value


def _mistake(what: str, expected: str, got: Any) -> UsageError:
    return UsageError(f"early_terminate {what}", expected=expected, got=str(got), hint=EXAMPLE)
