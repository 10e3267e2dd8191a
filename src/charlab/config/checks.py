"""The rules that types alone cannot express: ranges, choices, and options that belong together."""

from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from typing import Any, cast

from omegaconf import MISSING, DictConfig, OmegaConf

from charlab.cells import CELLS
from charlab.config.mistakes import GROUP, group_like, wrong_value
from charlab.config.nearest import did_you_mean, nearest
from charlab.config.options import KIND_OPTION, allows, schema_name, schemas_of
from charlab.config.schema import SCHEMAS
from charlab.errors import UsageError


def check(config: DictConfig, plain: Mapping[str, Any] | None = None) -> None:
    """Enforce the ranges of the schema and the rules between options.

    config  typed by `schema.Config`, its references resolved
    plain   the same in plain form, where there is one already

    Raises UsageError for the first option that breaks a rule.
    """
    if plain is None:
        check_section(config, "")
    else:
        _check_options(config, plain, "")
    _check_kinds(config)
    _check_budget(config)
    _check_group(config)


def check_section(section: DictConfig, prefix: str) -> None:
    """Enforce the ranges of the options of a section, whose names begin with `prefix`."""
    _check_options(
        section, cast(dict[str, Any], OmegaConf.to_container(section, resolve=True)), prefix
    )


def _check_options(section: DictConfig, values: Mapping[str, Any], prefix: str) -> None:
    """values: what the section holds, in plain form, which is much faster to read."""
    schema = OmegaConf.get_type(section)
    assert schema is not None
    if not is_dataclass(schema):
        group = prefix.rstrip(".")
        raise UsageError(
            f"the chosen file of conf/{group}/ has no schema",
            expected=f"`- /schema/{group}/NAME@_here_` first among its defaults, NAME one of "
            + ", ".join(sorted(name.partition("/")[2] for name in schemas_of(group))),
            got=f"a file of conf/{group}/ without it",
            option=group,
        )
    for field in fields(schema):
        name, value = prefix + field.name, values[field.name]
        if value == MISSING or (name in KIND_OPTION and value is None):
            raise UsageError(
                f"{name} has no value",
                expected=f"{name}=CHOICE, a file of conf/{name}/" if name in KIND_OPTION else "",
                got="nothing",
                option=name,
            )
        if isinstance(value, dict):
            _check_options(section[field.name], value, f"{name}.")
        else:
            check_values(name, field, value)


def check_values(name: str, field: Field[Any], value: Any) -> None:
    """Enforce the range of one option; `value` is plain."""
    values = value if isinstance(value, list) else [value]
    if not values and "filled" in field.metadata:
        raise UsageError(
            f"{name} is an empty list",
            expected="at least one item",
            got="[]",
            hint="callbacks.samples.enabled=false draws no samples",
            option=name,
        )
    for item in values:
        if item is not None and not allows(field, item):
            raise wrong_value(name, item, got=str(value) if item is not value else "")


def _check_kinds(config: DictConfig) -> None:
    """A run is read back by its kinds, so each must fit the schema that its options have."""
    for group, key in KIND_OPTION.items():
        kind = config[group][key]
        name = schema_name(group, kind)
        if name is None or OmegaConf.get_type(config[group]) is not SCHEMAS[name]:
            raise UsageError(
                f"the file of {group}={kind} has the schema of another choice",
                expected=f"`- /schema/{name or f'{group}/{kind}'}@_here_` among its defaults",
                got=f"{group}.{key}={kind} with other options",
                hint="options of a new cell are declared in src/charlab/config/schema.py",
                option=group,
            )
    if config.model.cell not in CELLS:
        guesses = nearest(config.model.cell, CELLS)
        raise UsageError(
            f"model.cell={config.model.cell} is not a cell{did_you_mean(guesses)}",
            expected=f"a row of charlab.cells.CELLS: {', '.join(CELLS)}",
            got=config.model.cell,
            hint="add the row, or mend the file in conf/model/",
            option="model.cell",
        )


def _check_group(config: DictConfig) -> None:
    if not GROUP.fullmatch(config.group):
        raise UsageError(
            f"group={config.group!r} is not a folder under paths.runs",
            expected="letters, digits, _, - and ., with / between folders",
            got=config.group,
            hint=f"group={group_like(config.group)}",
            option="group",
        )


def _check_budget(config: DictConfig) -> None:
    if config.trainer.max_steps is None and config.trainer.max_epochs is None:
        raise UsageError(
            "nothing says when training ends",
            expected="trainer.max_epochs or trainer.max_steps, or both (the first one ends it)",
            got="null for both",
            hint="trainer.max_epochs=30",
            option="trainer.max_epochs",
        )
