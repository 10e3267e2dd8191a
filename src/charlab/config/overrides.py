"""The overrides of a command line, read by Hydra's grammar before anything is composed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import Field
from typing import Any, Literal

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException

from charlab.config.mistakes import (
    fixed_kind,
    group_like,
    guess_names,
    no_such_choice,
    plain,
    unknown_option,
)
from charlab.config.nearest import did_you_mean
from charlab.config.options import (
    GLOBAL_GROUPS,
    KIND_OPTIONS,
    OPTIONAL_GROUPS,
    all_options,
    allows,
    sections,
    value_type,
)
from charlab.errors import UsageError

Mode = Literal["run", "multirun"]
Choices = Mapping[str, Sequence[str]]

# All that is left of Hydra's own options: the others say how Hydra runs a job, which it does not.
HYDRA_OPTIONS = ("hydra.searchpath", "hydra.sweeper.params", "hydra/launcher", "hydra.launcher")


def parse(
    lines: Sequence[str], mode: Mode, loader: ConfigLoader, choices: Choices
) -> list[Override]:
    """The overrides, with the mistakes ruled out that need no configuration to be seen.

    Raises UsageError for one that cannot be read, adds or deletes an option, has several values
    without -m, or concerns how Hydra runs jobs.
    """
    try:
        overrides = OverridesParser.create(loader).parse_overrides(list(lines))
    except OverrideParseException as error:
        raise _malformed(error.override) from error
    for line, override in zip(lines, overrides, strict=True):
        if not override.key_or_group:
            raise _malformed(line)
        if override.is_hydra_override():
            _check_hydra_option(line, override)
        else:
            _check_form(line, override, choices)
        _check_values(line, override, mode, choices)
    return overrides


def _malformed(line: str) -> UsageError:
    name, equals, value = line.partition("=")
    name = name.lstrip("+~")
    base = re.split(r"[^\w./]", name)[0]
    if not equals or base != name or not name:
        known = base in all_options() or base in sections() or base in GLOBAL_GROUPS
        guesses = [base] if known else guess_names(base)
        return UsageError(
            f"{plain(line)} is not an override{'' if known else did_you_mean(guesses)}",
            expected="OPTION=VALUE or GROUP=CHOICE, such as model.hidden_size=256",
            got=line,
            hint=f"{guesses[0]}=VALUE" if guesses else "python train.py --help",
            option=base,
        )
    return UsageError(
        f"the value of {name} cannot be read",
        expected="brackets and quotes in pairs; quotes around a text with spaces, commas, brackets"
        " or quotes",
        got=line,
        hint=_in_quotes(name, value),
        option=name,
    )


def _in_quotes(name: str, value: str) -> str:
    """How a value that cannot be read may be meant; empty where quotes would not help."""
    option = all_options().get(name)
    if name == "group":
        return f"group={group_like(value)}"
    if name in KIND_OPTIONS:
        return ""
    if option is not None and (
        value_type(option.field).item is not str or "choices" in option.field.metadata
    ):
        return ""
    if value.startswith(("[", "{")):
        return f"'{name}=[a,\"b c\"]'"
    is_list = option is not None and value_type(option.field).is_list
    return f"'{name}=[\"{value}\"]'" if is_list else f"'{name}=\"{value}\"'"


def _check_hydra_option(line: str, override: Override) -> None:
    name = override.key_or_group
    if not any(re.match(rf"{re.escape(option)}(\.|$)", name) for option in HYDRA_OPTIONS):
        raise UsageError(
            f"{name} has no effect: Hydra composes here, and runs nothing",
            expected=f"of Hydra's own options only {', '.join(HYDRA_OPTIONS)}",
            got=line,
            hint="paths.runs=FOLDER says where results go; -m runs several jobs",
            option=name,
        )
    is_plain = not (override.is_delete() or override.is_add() or override.is_force_add())
    if "launcher" in name and not (is_plain and override.package is None):
        raise UsageError(
            f"{name} can be set, and neither added nor deleted nor moved",
            expected=f"{name}=VALUE",
            got=line,
            option=name,
        )
    if override.is_sweep_override():
        raise UsageError(
            f"{name} has several values",
            expected="one value, which holds for all jobs of a sweep",
            got=line,
            option=name,
        )


def _check_form(line: str, override: Override, choices: Choices) -> None:
    """The options are those of the schema: they can be changed, not added, moved or deleted."""
    name = override.key_or_group
    value = line.partition("=")[2] or "VALUE"
    if name in KIND_OPTIONS:
        raise fixed_kind(name, value, choices.get(KIND_OPTIONS[name], ()))
    if override.is_delete():
        raise UsageError(
            f"{name} cannot be deleted",
            expected="OPTION=VALUE; callbacks.NAME.enabled=false switches a callback off",
            got=line,
            hint=f"{name}={value}",
            option=name,
        )
    if override.is_add() or override.is_force_add():
        if name not in all_options() and name not in (*sections(), *GLOBAL_GROUPS):
            raise unknown_option(name, got=line, value=value, owners={})
        raise UsageError(
            f"{name} is there already and cannot be added",
            expected="OPTION=VALUE without +",
            got=line,
            hint=f"{name}={value}",
            option=name,
        )
    if override.package is not None:
        raise UsageError(
            f"{name} cannot be put elsewhere with @",
            expected=f"{name}=CHOICE",
            got=line,
            hint=f"{name}={value}",
            option=name,
        )


def _check_values(line: str, override: Override, mode: Mode, choices: Choices) -> None:
    name = override.key_or_group
    if not override.is_sweep_override():
        # `model={hidden_size:3}` sets options of the section
        is_unreadable = not isinstance(override.value(), str | dict)
        # Hydra passes over a wrong choice of a group that is optional
        is_passed_over = name in OPTIONAL_GROUPS and override.value() not in choices[name]
        if name in choices and (is_unreadable or is_passed_over):
            raise no_such_choice(name, override.value(), choices[name], got=line)
    elif mode == "run":
        option = all_options().get(name)
        is_list = option is not None and _is_list_of(option.field, line.partition("=")[2])
        raise UsageError(
            f"{name} has several values",
            expected="one value; several with -m, which runs one job for each",
            got=line,
            hint=f"{name}=[{line.partition('=')[2]}]" if is_list else f"-m {line}",
            option=name,
        )
    elif not override.is_discrete_sweep():
        raise UsageError(
            f"{name} has endlessly many values",
            expected="values that can be counted: A,B,C or range(START,STOP,STEP)",
            got=line,
            option=name,
        )


def _is_list_of(field: Field[Any], text: str) -> bool:
    """Whether an option takes a list, and A,B,C are items for it."""
    kind = value_type(field)
    if not kind.is_list:
        return False
    try:
        return all(allows(field, kind.item(item)) for item in text.split(","))
    except ValueError:
        return False
