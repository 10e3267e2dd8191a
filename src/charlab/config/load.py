"""The configuration of a run that was made, typed again. No Hydra here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import yaml  # type: ignore[import-untyped]
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from charlab.cells import CELLS
from charlab.config.checks import check, check_section
from charlab.config.mistakes import (
    choices_with,
    from_omegaconf,
    option_of_another_choice,
    plain,
    unknown_option,
    wrong_value,
)
from charlab.config.options import (
    GLOBAL_GROUPS,
    KIND_OPTION,
    KIND_OPTIONS,
    all_options,
    schema_name,
    schemas_of,
    sections,
)
from charlab.config.references import resolve
from charlab.config.schema import SCHEMAS, Config, PathsConfig
from charlab.errors import UsageError

# options of earlier versions on which no result depends; config.yaml of their runs has them
FORMER = ("data.show",)


def load_config(path: Path, overrides: Sequence[str] = ()) -> DictConfig:
    """A run directory's config.yaml with `overrides` (`data.path=FILE`), typed and checked.

    Its kinds (model.cell, data.name, optimizer.name, scheduler.name) say which schemas it has.
    Raises UsageError for a file that is missing, is not YAML or has options that this version does
    not know, and for overrides as train.py does. The result is read-only, as a composed one.
    """
    stored = _read(path)
    config = OmegaConf.structured(Config)
    for group, key in KIND_OPTION.items():
        kind = OmegaConf.select(stored, f"{group}.{key}")
        name = schema_name(group, kind) if isinstance(kind, str) else None
        if name is None:
            schemas = (schema.partition("/")[2] for schema in schemas_of(group))
            known = sorted(CELLS if group == "model" else schemas)
            raise UsageError(
                f"{path} is not the configuration of a run that this version knows",
                expected=f"{group}.{key}, one of {', '.join(known)}",
                got=plain(kind),
                option=f"{group}.{key}",
            )
        config[group] = OmegaConf.structured(SCHEMAS[name])
    try:
        config.merge_with(stored)
    except OmegaConfBaseException as error:
        raise _of_another_version(path, error) from error
    for override in overrides:
        _apply(config, override, is_run=True)
    check(config, resolve(config))
    OmegaConf.set_readonly(config, True)
    assert isinstance(config, DictConfig)
    return config


def load_data(kind: str, overrides: Sequence[str]) -> tuple[Any, PathsConfig]:
    """A data set's section without a run, and the paths: `load_data("text", ["data.path=FILE"])`.

    Errors as `load_config`.
    """
    config = OmegaConf.create(
        {
            "data": OmegaConf.structured(SCHEMAS[f"data/{kind}"]),
            "paths": OmegaConf.structured(PathsConfig),
        }
    )
    config.data.name = kind
    for override in overrides:
        _apply(config, override, is_run=False)
    for section in ("data", "paths"):
        check_section(config[section], f"{section}.")
    return OmegaConf.to_object(config.data), cast(PathsConfig, OmegaConf.to_object(config.paths))


def to_container(config: DictConfig) -> dict[str, Any]:
    """`config` as dicts, lists and scalars alone, which checkpoints and loggers can keep."""
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _read(path: Path) -> DictConfig:
    """The file as it stands, untyped and without what is FORMER."""
    hint = "give the folder of a run, which holds config.yaml"
    try:
        stored = OmegaConf.load(path)
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}", hint=hint) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} cannot be read: {reason}", expected="YAML in UTF-8") from error
    if not isinstance(stored, DictConfig):
        raise UsageError(f"{path} is not a configuration", expected="a YAML mapping", hint=hint)
    for name in FORMER:
        section, _, option = name.rpartition(".")
        if isinstance(held := stored.get(section), DictConfig):
            held.pop(option, None)
    return stored


def _of_another_version(path: Path, error: OmegaConfBaseException) -> UsageError:
    mistake = from_omegaconf(error, got=f"{error.full_key} in {path}", owners={})
    return UsageError(
        f"{path}: {mistake.what}",
        expected=mistake.expected,
        got=mistake.got,
        hint="the version of charlab that made the run, or mend the file",
        option=mistake.option,
    )


def _apply(config: DictConfig, override: str, *, is_run: bool) -> None:
    """is_run: the configuration is that of a run, and not a data set's alone."""
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise UsageError(
            f"{plain(override)} is not an override",
            expected="OPTION=VALUE, such as data.batch_size=32",
            got=override,
        )
    is_known = name in all_options() or name in sections()
    is_elsewhere = is_known and name.partition(".")[0] not in config
    if not is_run and (is_elsewhere or name in (*KIND_OPTIONS, *KIND_OPTION, *GLOBAL_GROUPS)):
        raise UsageError(
            f"{name} is not an option of a data set",
            expected="options of data.* and paths.*; the data set itself is named before them",
            got=override,
            hint="leave it out",
            option=name,
        )
    if name in KIND_OPTIONS or name in KIND_OPTION:
        raise UsageError(
            f"{name} is that of the run and cannot be changed",
            expected="options of the choices that the run was made with",
            got=override,
            hint=f"python train.py {KIND_OPTIONS.get(name, name)}={text} makes another run",
            option=name,
        )
    if name in sections():
        raise wrong_value(name, text, got=override)
    if not is_known:
        raise unknown_option(name, got=override, value=text, owners={})
    _check_has(config, name, override, is_run)
    try:
        config.merge_with_dotlist([override])
    except yaml.YAMLError as error:
        raise UsageError(
            f"the value of {name} cannot be read",
            expected="brackets and quotes in pairs",
            got=override,
            option=name,
        ) from error
    except OmegaConfBaseException as error:
        raise from_omegaconf(error, got=override, value=text, owners={}) from error


def _check_has(config: DictConfig, name: str, override: str, is_run: bool) -> None:
    """Raises UsageError for an option that only other choices have."""
    group, option = name.partition(".")[0], all_options()[name]
    if not option.schemas:
        return
    kind = config[group][KIND_OPTION[group]]
    if schema_name(group, kind) not in option.schemas:
        choices = choices_with(option, {})
        names = [choice.partition("=")[2] for choice in choices]
        # the one that needs neither a file nor the network, where it has the option
        best = "python_stdlib" if "python_stdlib" in names else names[0]
        other = f"charlab data {best} {override}"
        hint = f"leave it out: the run has {group}={kind}" if is_run else other
        raise option_of_another_choice(option, choices, override, hint)
