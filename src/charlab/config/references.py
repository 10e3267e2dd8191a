"""References of one option to another, `${data.name}`, put in place."""

import re
from collections.abc import Iterator

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from charlab.config.mistakes import first_line
from charlab.config.nearest import did_you_mean, nearest_options
from charlab.config.options import all_options
from charlab.errors import UsageError


def resolve(config: DictConfig) -> None:
    """Replace every reference by its value; UsageError names the one that leads nowhere."""
    for name, reference in _references(OmegaConf.to_container(config, resolve=False), ""):
        try:
            OmegaConf.select(config, name)
        except OmegaConfBaseException as error:
            raise _unresolved(name, reference, error) from error
    OmegaConf.resolve(config)


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
