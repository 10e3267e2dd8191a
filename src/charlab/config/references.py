"""References of one option to another, `${data.name}`, put in place."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from charlab.config.mistakes import first_line
from charlab.config.nearest import did_you_mean, nearest_options
from charlab.config.options import all_options
from charlab.errors import UsageError


def resolve(config: DictConfig) -> dict[str, Any]:
    """Replace every reference by its value; UsageError names the one that leads nowhere.

    Returns the same in plain form, which is much faster to read and takes as long to make as all
    else here.
    """
    plain: Any = OmegaConf.to_container(config, resolve=False)
    for name, reference in list(_references(plain, "")):
        try:
            value = OmegaConf.select(config, name)
        except OmegaConfBaseException as error:
            raise _unresolved(name, reference, error) from error
        OmegaConf.update(config, name, value)
        _set(plain, name.split("."), OmegaConf.select(config, name))
    return cast(dict[str, Any], plain)


def resolve_environment(config: DictConfig) -> None:
    """Replace the references to the environment alone, which no option can change."""
    for name, reference in _references(OmegaConf.to_container(config, resolve=False), ""):
        if not re.search(r"\$\{(?!oc\.env:|charlab\.cache:)", reference):
            with suppress(OmegaConfBaseException):  # told by `resolve`, if it is still there then
                OmegaConf.update(config, name, OmegaConf.select(config, name))


def _references(value: object, name: str) -> Iterator[tuple[str, str]]:
    """The full names and texts of all values that hold a reference."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _references(item, f"{name}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references(item, f"{name}.{index}")
    elif isinstance(value, str) and "${" in value:
        yield name, value


def _set(plain: Any, path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        plain = plain[int(part) if isinstance(plain, list) else part]
    last = path[-1]
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=True)
    plain[int(last) if isinstance(plain, list) else last] = value


def _unresolved(name: str, reference: str, error: OmegaConfBaseException) -> UsageError:
    targets = re.findall(r"\$\{([\w.]+)\}", reference)
    missing = [target for target in targets if target not in all_options()]
    if not isinstance(error, InterpolationKeyError) or not missing:
        return UsageError(
            f"{name} cannot be worked out: {first_line(error)}", got=reference, option=name
        )
    guesses = nearest_options(missing[0], all_options())
    return UsageError(
        f"{name} refers to {missing[0]}, which is not an option{did_you_mean(guesses)}",
        expected="${OPTION} with the full name of an option",
        got=reference,
        hint=f"${{{guesses[0]}}}" if guesses else "",
        option=name,
    )
