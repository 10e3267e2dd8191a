"""The schema by full option name (`model.hidden_size`), and its values in words."""

import math
from collections.abc import Iterator
from dataclasses import Field, dataclass, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Union, final, get_args, get_origin

from charlab.config.schema import SCHEMAS, Config
from charlab.config.schema_launcher import LAUNCHERS

# The groups whose choices differ in their options, and the option that says which one was chosen.
# A run directory's config.yaml is read back by it.
KIND_OPTION = {"model": "cell", "data": "name", "optimizer": "name", "scheduler": "name"}
KIND_OPTIONS = {f"{group}.{key}": group for group, key in KIND_OPTION.items()}

# Groups of conf/ that are no section of the configuration.
GLOBAL_GROUPS = ("recipe", "experiment", "debug")
# Groups that conf/config.yaml calls optional: a data set of one's own need not have a recipe.
OPTIONAL_GROUPS = ("recipe",)


@final
@dataclass(frozen=True)
class Option:
    """One option of the schema.

    schemas  the keys of SCHEMAS that have it; empty where every configuration does
    """

    name: str
    field: Field[Any]
    schemas: tuple[str, ...]


@final
@dataclass(frozen=True)
class ValueType:
    """The annotation of an option taken apart; `item` is the type of a list's items."""

    item: type
    is_list: bool
    is_optional: bool


def leaves(schema: type, prefix: str) -> Iterator[tuple[str, Field[Any]]]:
    """The options of a dataclass by full name, in order, nested dataclasses included."""
    for field in fields(schema):
        name = prefix + field.name
        if isinstance(field.type, type) and is_dataclass(field.type):
            yield from leaves(field.type, f"{name}.")
        elif name not in KIND_OPTION:
            yield name, field


@cache
def all_options() -> dict[str, Option]:
    """Every option that any choice of any group has, by full name."""
    found = {name: Option(name, field, ()) for name, field in leaves(Config, "")}
    for schema_name, schema in SCHEMAS.items():
        group = schema_name.partition("/")[0]
        if group in KIND_OPTION:
            for name, field in leaves(schema, f"{group}."):
                owners = (*found[name].schemas, schema_name) if name in found else (schema_name,)
                found[name] = Option(name, field, owners)
    return found


@cache
def launcher_options() -> dict[str, Option]:
    """The options of the launchers, `hydra.launcher.NAME`, which are no part of a run."""
    return {
        f"hydra.launcher.{field.name}": Option(field.name, field, (f"hydra/launcher={name}",))
        for name, schema in LAUNCHERS.items()
        for field in fields(schema)
        if "help" in field.metadata
    }


@cache
def sections() -> dict[str, list[str]]:
    """The names below each section: `logger.wandb` has `mode`, `project`, ..."""
    found: dict[str, list[str]] = {}
    for name in all_options():
        parts = name.split(".")
        for depth in range(1, len(parts)):
            below = found.setdefault(".".join(parts[:depth]), [])
            if parts[depth] not in below:
                below.append(parts[depth])
    return found


def schema_name(group: str, kind: str) -> str | None:
    """The key of SCHEMAS for a choice: its own, else the group's base, else there is none."""
    candidates = (f"{group}/{kind}", f"{group}/base")
    return next((name for name in candidates if name in SCHEMAS), None)


def schemas_of(group: str) -> set[str]:
    """The keys of SCHEMAS of a group whose choices differ in their options."""
    return {name for name in SCHEMAS if group in KIND_OPTION and name.startswith(f"{group}/")}


def value_type(field: Field[Any]) -> ValueType:
    annotation: Any = field.type
    is_optional = get_origin(annotation) in (Union, UnionType)
    if is_optional:
        annotation = next(a for a in get_args(annotation) if a is not type(None))
    is_list = get_origin(annotation) is list
    return ValueType(get_args(annotation)[0] if is_list else annotation, is_list, is_optional)


def allows(field: Field[Any], value: Any) -> bool:
    """Whether a plain value, or an item of a list, is of the type and in the range of an option."""
    limits = field.metadata
    return (
        # OmegaConf lets a list pass for an item of a list.
        isinstance(value, value_type(field).item)
        and (not isinstance(value, float) or math.isfinite(value))
        and ("ge" not in limits or value >= limits["ge"])
        and ("gt" not in limits or value > limits["gt"])
        and ("le" not in limits or value <= limits["le"])
        and ("lt" not in limits or value < limits["lt"])
        and ("choices" not in limits or value in limits["choices"])
    )


def usual_value(option: Option) -> Any:
    """The default that all schemas with an option agree on; None where they do not."""
    leaf = option.name.partition(".")[2]
    schemas = [SCHEMAS[name] for name in option.schemas if name in SCHEMAS]
    defaults = [one.default for schema in schemas for one in fields(schema) if one.name == leaf]
    is_one = all(default == defaults[0] for default in defaults)
    return option.field.default if is_one else None


# A value in words, and many of them.
WORDS: dict[type, tuple[str, str]] = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("a text", "texts"),
}
LIMITS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def range_text(field: Field[Any]) -> str:
    """The range of one value, such as `>= 0 and < 1`; empty where any value of the type will do."""
    if "choices" in field.metadata:
        return "one of " + ", ".join(field.metadata["choices"])
    return " and ".join(
        f"{sign} {field.metadata[key]:,}" for key, sign in LIMITS.items() if key in field.metadata
    )


def expected(field: Field[Any]) -> str:
    """What an error message says the option accepts."""
    kind = value_type(field)
    limits = range_text(field)
    if kind.is_list:
        words = " ".join(["a list of", WORDS[kind.item][1], limits]).rstrip()
        words += ", such as [a,b]" if kind.item is str else ", such as [1,2]"
    elif "choices" in field.metadata:
        words = limits
    else:
        words = f"{WORDS[kind.item][0]} {limits}".rstrip()
    return f"{words}, or null" if kind.is_optional else words
