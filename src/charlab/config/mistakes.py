"""The user's mistakes in words: what was expected, what came, the nearest match.

Knows OmegaConf's errors by their attributes, and nothing of Hydra.
"""

import re
from collections.abc import Mapping, Sequence

from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    ConfigTypeError,
    OmegaConfBaseException,
    ValidationError,
)

from charlab.config.nearest import did_you_mean, nearest, nearest_options
from charlab.config.options import (
    GLOBAL_GROUPS,
    KIND_OPTIONS,
    Option,
    all_options,
    allows,
    expected,
    launcher_options,
    schemas_of,
    sections,
    usual_value,
    value_type,
)
from charlab.errors import UsageError

# The choices of conf/ that use a schema: {"model/custom_gru": ["custom_gru"]}.
Owners = Mapping[str, Sequence[str]]

# Folders under paths.runs.
GROUP = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")
# What other programs call our options.
SYNONYMS = {"learning_rate": "lr", "bptt": "seq_len", "gpus": "devices", "layers": "num_layers"}


def plain(value: object) -> str:
    """A value as it is written on a command line or in YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, str) else str(value)


def group_like(text: str) -> str:
    """What may be a group, and looks like the text."""
    parts = [re.sub(r"[^\w.-]+", "_", part, flags=re.ASCII) for part in text.split("/")]
    return "/".join(kept for part in parts if (kept := part.strip(".-_"))) or "my_comparison"


def unknown_option(name: str, *, got: str, value: str = "VALUE", owners: Owners) -> UsageError:
    """An option that the schema lacks, or that only another choice of its group has."""
    if name.startswith("hydra.launcher."):
        return _unknown_launcher_option(name, got, value)
    option = all_options().get(name)
    if option is not None and option.schemas:
        choices = choices_with(option, owners)
        return option_of_another_choice(option, choices, got, f"{choices[0]} {name}={value}")
    guesses = guess_names(name)
    return UsageError(
        f"{name} is not an option{did_you_mean(guesses)}",
        expected=_options_beside(name),
        got=got,
        hint=f"{guesses[0]}={value}" if guesses else "python train.py --help",
        option=name,
    )


def guess_names(name: str) -> list[str]:
    """The options, sections and groups that a misspelt name probably meant."""
    prefix, dot, leaf = name.rpartition(".")
    meant = prefix + dot + SYNONYMS.get(leaf, leaf)
    guesses = nearest_options(meant, [*all_options(), *sections(), *GLOBAL_GROUPS])
    guesses = guesses or nearest_options(meant, launcher_options())
    return [KIND_OPTIONS.get(guess, guess) for guess in guesses]  # `cell` means `model=`


def _options_beside(name: str) -> str:
    section = name.rpartition(".")[0]
    if section not in sections():
        return "an option that `python train.py --help` lists"
    everywhere, elsewhere = [], []
    for part in sections()[section]:
        full = f"{section}.{part}"
        if full in all_options() and set(all_options()[full].schemas) != schemas_of(section):
            elsewhere.append(part)
        elif full not in KIND_OPTIONS:
            everywhere.append(part)
    of_some = f" (and of some choices: {', '.join(elsewhere)})" if elsewhere else ""
    return f"an option of {section}: {', '.join(everywhere)}{of_some}"


def choices_with(option: Option, owners: Owners) -> list[str]:
    """The choices of conf/ that have an option: ["model=lstm", "model=custom_lstm"]."""
    group = option.name.partition(".")[0]
    schema_choices = {schema: [schema.partition("/")[2]] for schema in option.schemas} | {
        schema: choices for schema, choices in owners.items() if schema in option.schemas
    }
    return [f"{group}={choice}" for names in schema_choices.values() for choice in names]


def option_of_another_choice(
    option: Option, choices: Sequence[str], got: str, hint: str
) -> UsageError:
    """choices: those that have it."""
    return UsageError(
        f"{option.name} is not an option of this {option.name.partition('.')[0]}",
        expected=f"{option.name} together with {' or '.join(choices)}",
        got=got,
        hint=hint,
        option=option.name,
    )


def _unknown_launcher_option(name: str, got: str, value: str) -> UsageError:
    known = launcher_options()
    if name in known:
        (choice,) = known[name].schemas
        return UsageError(
            f"{name} is not an option of this launcher",
            expected=f"{name} together with {choice}",
            got=got,
            hint=f"{choice} {name}={value}",
            option=name,
        )
    guesses = nearest_options(name, known)
    return UsageError(
        f"{name} is not an option{did_you_mean(guesses)}",
        expected="an option of a launcher: " + ", ".join(option.name for option in known.values()),
        got=got,
        hint=f"{guesses[0]}={value}" if guesses else "",
        option=name,
    )


def wrong_value(name: str, value: object, *, got: str = "") -> UsageError:
    """A value of the wrong type, out of range or not among the choices."""
    got = got or plain(value)
    if name in sections():
        below = [f"{name}.{part}" for part in sections()[name]]
        return UsageError(
            f"{name} is a section with options of its own",
            expected=f"a value for one of {', '.join(below)}",
            got=got,
            option=name,
        )
    option = (all_options() | launcher_options())[name]
    field, kind = option.field, value_type(option.field)
    guesses = nearest(str(value), field.metadata.get("choices", ()))
    if kind.item is int and isinstance(value, float) and value.is_integer():
        guesses = [str(int(value))] if allows(field, int(value)) else []  # 1e3 is a float
    usual = usual_value(option)
    advised = guesses[0] if guesses else ""
    if not advised and isinstance(usual, kind.item) and allows(field, usual):
        advised = plain(usual) if not isinstance(usual, str) else usual
    return UsageError(
        f"{name} cannot be {plain(value)}{did_you_mean(guesses)}",
        expected=expected(field),
        got=got,
        hint=f"{name}={advised}" if advised and "${" not in advised else "",
        option=name,
    )


def no_such_choice(group: str, choice: object, choices: Sequence[str], *, got: str) -> UsageError:
    """A choice that a group of conf/ does not have."""
    guesses = nearest(str(choice), choices)
    return UsageError(
        f"{group} has no choice {plain(choice)}{did_you_mean(guesses)}",
        expected=f"one of {', '.join(choices)}" if choices else f"a file in conf/{group}/",
        got=got,
        hint=f"{group}={guesses[0]}" if guesses else "",
        option=group,
    )


def from_omegaconf(
    error: OmegaConfBaseException, *, got: str, value: str = "VALUE", owners: Owners
) -> UsageError:
    """The message for an error of composing or merging.

    got  where the mistake stands: the override as it was typed, or the file
    """
    name = re.sub(r"\[.*", "", error.full_key or "")
    known = name in all_options() or name in sections() or name in launcher_options()
    if isinstance(error, ValidationError) and known:
        return wrong_value(name, error.value, got=got)
    if name in all_options() and not all_options()[name].schemas:  # `OPTION={a: 1}` of a list
        return wrong_value(name, value, got=got)
    if isinstance(error, ConfigAttributeError | ConfigKeyError | ConfigTypeError) and name:
        return unknown_option(name, got=got, value=value, owners=owners)
    return UsageError(f"{name or 'the configuration'}: {first_line(error)}", got=got, option=name)


def first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def fixed_kind(name: str, kind: str, choices: Sequence[str]) -> UsageError:
    """`model.cell` and its like come with the choice of the group, never alone."""
    group = KIND_OPTIONS[name]
    return UsageError(
        f"{name} is set by {group}=CHOICE and cannot be changed alone",
        expected=f"{group}=CHOICE, which brings the options of that choice with it",
        got=f"{name}={kind}",
        hint=f"{group}={kind}" if kind in choices else "",
        option=name,
    )
