"""The `parameters` of a sweep file, checked: a distribution for each option."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from charlab.config.mistakes import plain
from charlab.config.nearest import did_you_mean, nearest
from charlab.errors import UsageError
from charlab.sweeps.definition.distributions import (
    Choice,
    Constant,
    Distribution,
    Integers,
    Numbers,
    Quantiles,
    Scalar,
    as_text,
)
from charlab.sweeps.definition.quantiles import beta_quantile, normal_quantile

Given = Mapping[str, Any]
# what Hydra takes for more than a text
SPECIAL = set(",[]{}()='\"\\$\n\t")


@final
@dataclass(frozen=True)
class Kind:
    """A distribution of W&B's: the keys it must have, those it may have, and what it makes."""

    required: tuple[str, ...]
    defaults: Mapping[str, float]
    make: Callable[[Given], Distribution]


def _range(given: Given, *, is_log: bool = False) -> Distribution:
    return Numbers(given["min"], given["max"], is_log, given.get("q"))


def _powers(given: Given) -> Distribution:
    """min and max are exponents of e."""
    return Numbers(math.exp(given["min"]), math.exp(given["max"]), True, given.get("q"))


def _inverse_powers(given: Given) -> Distribution:
    """The logarithm of 1/x is uniform between min and max."""
    return Numbers(math.exp(-given["max"]), math.exp(-given["min"]), True)


def _normal(given: Given) -> Distribution:
    mu, sigma = given["mu"], given["sigma"]
    words = f"normal with mean {mu:g} and standard deviation {sigma:g}"
    return Quantiles(lambda part: normal_quantile(part, mu, sigma), words, given.get("q"))


def _log_normal(given: Given) -> Distribution:
    mu, sigma = given["mu"], given["sigma"]
    words = f"its logarithm normal with mean {mu:g} and standard deviation {sigma:g}"
    return Quantiles(lambda part: math.exp(normal_quantile(part, mu, sigma)), words, given.get("q"))


def _beta(given: Given) -> Distribution:
    a, b = given["a"], given["b"]
    words = f"beta with a = {a:g} and b = {b:g}"
    return Quantiles(lambda part: beta_quantile(part, a, b), words, given.get("q"))


def _log_range(given: Given) -> Distribution:
    return _range(given, is_log=True)


RANGE = ("min", "max")
BELL = {"mu": 0.0, "sigma": 1.0}
SHAPE = {"a": 1.0, "b": 1.0}
STEP = {"q": 1}
KINDS = {
    "constant": Kind(("value",), {}, lambda given: Constant(given["value"])),
    "categorical": Kind(("values",), {}, lambda given: Choice(tuple(given["values"]))),
    "categorical_w_probabilities": Kind(
        ("values", "probabilities"),
        {},
        lambda given: Choice(tuple(given["values"]), tuple(given["probabilities"])),
    ),
    "int_uniform": Kind(RANGE, {}, lambda given: Integers(given["min"], given["max"])),
    "uniform": Kind(RANGE, {}, _range),
    "q_uniform": Kind(RANGE, STEP, _range),
    "log_uniform": Kind(RANGE, {}, _powers),
    "q_log_uniform": Kind(RANGE, STEP, _powers),
    "inv_log_uniform": Kind(RANGE, {}, _inverse_powers),
    "log_uniform_values": Kind(RANGE, {}, _log_range),
    "q_log_uniform_values": Kind(RANGE, STEP, _log_range),
    # uniform in the logarithm of 1/x is uniform in that of x
    "inv_log_uniform_values": Kind(RANGE, {}, _log_range),
    "normal": Kind((), BELL, _normal),
    "q_normal": Kind((), BELL | STEP, _normal),
    "log_normal": Kind((), BELL, _log_normal),
    "q_log_normal": Kind((), BELL | STEP, _log_normal),
    "beta": Kind((), SHAPE, _beta),
    "q_beta": Kind((), SHAPE | STEP, _beta),
}
POSITIVE = ("log_uniform_values", "q_log_uniform_values", "inv_log_uniform_values")


def read_parameters(given: Any, prefix: str = "") -> dict[str, Distribution]:
    """Distributions by full option name, in W&B's order: by name, section by section.

    `optimizer: {parameters: {lr: ...}}` is `optimizer.lr`.
    Raises UsageError for what W&B does not take, and for values that its agents would not hand on
    as they are.
    """
    if not isinstance(given, Mapping) or not given:
        raise _mistake(
            prefix.rstrip("."), "has no parameters", "NAME: {values: [...]} and the like", given
        )
    found: dict[str, Distribution] = {}
    for name, distribution in _flat(given, prefix):
        if name in found:
            raise _mistake(name, "is there twice", "one distribution for each option", name)
        found[name] = distribution
    return found


def _flat(given: Given, prefix: str) -> Iterator[tuple[str, Distribution]]:
    for key in sorted(given, key=str):
        name, content = f"{prefix}{key}", given[key]
        if not isinstance(key, str):
            raise _mistake(name, "is no name of an option", "texts, such as optimizer.lr", key)
        if not isinstance(content, Mapping):
            raise _mistake(name, "has no distribution", _such_as(content), content)
        if set(content) == {"parameters"}:
            yield from read_parameters(content["parameters"], f"{name}.").items()
        else:
            yield name, _distribution(name, content)


def _such_as(value: Any) -> str:
    if isinstance(value, list):
        return f"{{values: {value}}}"
    return f"{{value: {plain(value)}}}, or values, or min and max"


def _distribution(name: str, given: Given) -> Distribution:
    kind_name = given.get("distribution") or _implied(name, given)
    if not isinstance(kind_name, str) or kind_name not in KINDS:
        raise _mistake(
            name,
            f"has no distribution {plain(kind_name)}{did_you_mean(nearest(str(kind_name), KINDS))}",
            f"one of {', '.join(KINDS)}",
            kind_name,
        )
    kind = KINDS[kind_name]
    keys = (*kind.required, *kind.defaults)
    for key in given:
        if key not in (*keys, "distribution"):
            guess = did_you_mean(nearest(str(key), keys))
            raise _mistake(
                name,
                f"has {key}, which {kind_name} does not take{guess}",
                " and ".join(keys),
                dict(given),
            )
    for key in kind.required:
        if key not in given:
            raise _mistake(
                name, f"lacks {key}", f"{' and '.join(kind.required)} for {kind_name}", dict(given)
            )
    full = {**kind.defaults, **given}
    _check(name, kind_name, full)
    try:
        made = kind.make(full)
        made.corners()
    except OverflowError as error:
        hint = "log_uniform takes exponents of e, log_uniform_values the values themselves"
        raise _mistake(
            name, "is larger than any number", "a smaller range", dict(given), hint
        ) from error
    return made


def _implied(name: str, given: Given) -> str:
    """The distribution that W&B takes where none is named."""
    if "value" in given:
        return "constant"
    if "values" in given:
        return "categorical_w_probabilities" if "probabilities" in given else "categorical"
    if "min" in given or "max" in given:
        is_whole = all(type(given.get(key, 0)) is int for key in RANGE)
        return "int_uniform" if is_whole else "uniform"
    raise _mistake(
        name, "has no values", "value, values, min and max, or a distribution", dict(given)
    )


def _check(name: str, kind_name: str, given: Given) -> None:
    if "value" in given:
        _check_value(name, given["value"])
    if "values" in given:
        _check_choices(name, given)
    for key in set(given) & {"min", "max", "mu", "sigma", "a", "b", "q"}:
        _check_number(name, key, given[key], whole=kind_name == "int_uniform")
    if "min" in given and given["min"] >= given["max"]:
        raise _mistake(name, "has an empty range", "min below max", dict(given))
    if kind_name in POSITIVE and given["min"] <= 0:
        raise _mistake(name, f"has min {given['min']}", f"more than 0 for {kind_name}", dict(given))
    for key, is_open in (("q", True), ("sigma", False), ("a", True), ("b", True)):
        if key in given and (given[key] < 0 or (is_open and given[key] == 0)):
            expected = "more than 0" if is_open else "0 or more"
            raise _mistake(name, f"has {key} {given[key]}", expected, given[key])


def _check_choices(name: str, given: Given) -> None:
    values = given["values"]
    if not isinstance(values, list) or not values:
        raise _mistake(name, "has no values", "a list, such as [1, 2]", values)
    for value in values:
        _check_value(name, value)
    texts = [as_text(value) for value in values]
    if twice := {text for text in texts if texts.count(text) > 1}:
        raise _mistake(name, f"has the value {min(twice)} twice", "each value once", values)
    if "probabilities" in given:
        _check_probabilities(name, given["probabilities"], len(values))


def _check_probabilities(name: str, parts: Any, count: int) -> None:
    are_parts = isinstance(parts, list) and all(
        isinstance(part, int | float) and not isinstance(part, bool) and part >= 0 for part in parts
    )
    if not are_parts or len(parts) != count or not math.isclose(sum(parts), 1, rel_tol=1e-5):
        raise _mistake(name, "has other probabilities", "one for each value, with the sum 1", parts)


def _check_value(name: str, value: Any) -> None:
    """Only what an agent hands on as it is: it writes NAME=VALUE by Python's str."""
    if isinstance(value, list | Mapping) or value is None:
        raise _mistake(
            name,
            f"cannot be {plain(value)} in a sweep: W&B's agents would hand on {str(value)!r}",
            "numbers, texts, true or false, and names of files in conf/",
            value,
            hint="put it into a file of conf/experiment/ and sweep over experiment",
        )
    if not isinstance(value, str | int | float):
        raise _mistake(name, "has a value of another type", "numbers and texts", value)
    if isinstance(value, str) and (not value or value != value.strip() or SPECIAL & set(value)):
        raise _mistake(
            name,
            f"cannot be {value!r} in a sweep: W&B's agents hand it on without quotes",
            "texts without commas, brackets, quotes, = and spaces at their ends",
            value,
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise _mistake(name, f"cannot be {value}", "finite numbers", value)


def _check_number(name: str, key: str, value: Any, *, whole: bool) -> None:
    if isinstance(value, str):
        raise _mistake(
            name,
            f"has a text for {key}",
            "a number; to YAML 1e-3 is a text, and 1.0e-3 a number",
            value,
        )
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or (whole and not isinstance(value, int)):
        expected = "a whole number" if whole else "a number"
        raise _mistake(name, f"has another {key}", expected, value)


def _mistake(name: str, what: str, expected: str, got: Any, hint: str = "") -> UsageError:
    where = ".".join(["parameters", *([name] if name else [])])
    shown = plain(got) if isinstance(got, Scalar) or got is None else str(got)
    return UsageError(f"{where} {what}", expected=expected, got=shown, hint=hint, option=name)
