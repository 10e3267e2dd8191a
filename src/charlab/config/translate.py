"""What Hydra raises for a mistake, as a UsageError with the option's full name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import yaml  # type: ignore[import-untyped]
from hydra.core.override_parser.types import Override
from hydra.errors import MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from charlab.config.mistakes import (
    Owners,
    first_line,
    from_omegaconf,
    no_such_choice,
    unknown_option,
)
from charlab.errors import UsageError


@final
@dataclass(frozen=True)
class Source:
    """Where the configuration came from.

    folders  conf/ and what was added to it
    owners   the choices that use each schema
    """

    folders: Sequence[Path]
    owners: Owners

    def file(self, name: str) -> str:
        """`experiment/mine` as the path of its file, as people would write it."""
        for folder in self.folders:
            if (folder / f"{name}.yaml").is_file():
                return f"{folder.name}/{name}.yaml"
        return f"{name}.yaml"

    def file_with(self, group: str, choice: str) -> str:
        """The file whose defaults ask for a choice. Hydra names the one it started from."""
        wanted = re.compile(rf"\b{re.escape(group)}: *{re.escape(choice)}\s")
        for folder in self.folders:
            for file in sorted(folder.rglob("*.yaml")):
                if wanted.search(file.read_text("utf-8")):
                    return str(file.relative_to(folder.parent))
        return "a file of conf"


def translate(error: Exception, overrides: Sequence[Override], source: Source) -> UsageError:
    """The message for anything that Hydra raises while it composes."""
    if isinstance(error, yaml.YAMLError):
        return _bad_yaml(error, source)
    file = re.search(r"In '([^']+)'", str(error))
    place = source.file(file[1]) if file else ""
    if isinstance(error, MissingConfigException):
        return _missing_file(error, overrides, source)
    cause = _omegaconf_cause(error)
    if cause is None:
        return UsageError(first_line(error), got=place)
    return _composition_mistake(cause, overrides, place, source.owners)


def _bad_yaml(error: yaml.YAMLError, source: Source) -> UsageError:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return UsageError(f"a file is not YAML: {first_line(error)}")
    mark = error.problem_mark
    file = Path(mark.name)
    folder = next((f for f in source.folders if file.is_relative_to(f)), file.parent)
    return UsageError(
        f"{file.relative_to(folder.parent)}, line {mark.line + 1} is not YAML: {error.problem}",
        expected="`name: value` on each line, indented by spaces",
        got=_line_of(file, mark.line),
    )


def _line_of(file: Path, number: int) -> str:
    lines = file.read_text("utf-8").splitlines()
    return lines[number].strip() if number < len(lines) else "the end of the file"


def _missing_file(
    error: MissingConfigException, overrides: Sequence[Override], source: Source
) -> UsageError:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    if not group:  # the file to start from
        files = sorted(file.stem for folder in source.folders for file in folder.glob("*.yaml"))
        return no_such_choice("--config-name", choice, files, got=f"--config-name {choice}")
    typed = [o.input_line for o in overrides if o.key_or_group == group and o.value() == choice]
    got = (
        typed[-1]
        if typed and typed[-1]
        else f"{group}={choice} in {source.file_with(group, choice)}"
    )
    return no_such_choice(group, choice, error.options or (), got=got)


def _omegaconf_cause(error: BaseException) -> OmegaConfBaseException | None:
    """Hydra chains the error it met with `from`, or raises a new one while it handles it."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, OmegaConfBaseException) and current.full_key:
            return current
        current = current.__cause__ or current.__context__
    return None


def _composition_mistake(
    error: OmegaConfBaseException, overrides: Sequence[Override], place: str, owners: Owners
) -> UsageError:
    name = error.full_key or ""
    typed = [o for o in overrides if _concerns(o, name)] if not place else []
    if not typed or typed[-1].input_line is None:
        key = name.rpartition(".")[2]
        return from_omegaconf(error, got=f"{key} in {place}" if place else "", owners=owners)
    override, line = typed[-1], typed[-1].input_line
    is_inside = name.startswith(f"{override.key_or_group}.")  # model={hiden_size:3}
    value = "VALUE" if is_inside else line.partition("=")[2]
    if override.key_or_group.startswith(f"{name}."):  # below an option, or below nothing at all
        return unknown_option(override.key_or_group, got=line, value=value, owners=owners)
    return from_omegaconf(error, got=line, value=value, owners=owners)


def _concerns(override: Override, name: str) -> bool:
    key = override.key_or_group
    return name == key or name.startswith((f"{key}.", f"{key}[")) or key.startswith(f"{name}.")
