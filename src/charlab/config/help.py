"""The page of `python train.py --help`, from the files of conf/ and the schema."""

import json
import string
from collections.abc import Collection, Iterator, Sequence
from dataclasses import Field, fields
from pathlib import Path
from textwrap import indent, wrap
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from charlab.config.compose import Composer
from charlab.config.options import (
    KIND_OPTION,
    launcher_options,
    leaves,
    range_text,
    sections,
)
from charlab.config.schema import SCHEMAS, Config
from charlab.config.schema_launcher import LAUNCHERS

WIDTH_CHARS = 100
HELP_COLUMN = 46
NO_BREAK = "\N{NO-BREAK SPACE}"  # textwrap leaves it alone

Named = tuple[str, Field[Any]]


def help_page(composer: Composer, overrides: Sequence[str]) -> str:
    """The page for the choices that `overrides` make, with the values that they lead to."""
    config = composer.compose_unchecked(overrides)
    hydra = config.hydra
    with open_dict(config):
        del config["hydra"]
    chosen = {str(group): str(choice) for group, choice in hydra.runtime.choices.items()}
    page = string.Template(hydra.help.template)
    return page.substitute(
        GROUPS=_block(_groups(composer.choices, chosen)),
        EXPERIMENTS=_block(_experiments(composer.folders)),
        OPTIONS=_block(_options(config, composer, chosen)),
        LAUNCHERS=_block(_launchers(chosen["hydra/launcher"])),
    ).rstrip()


def _block(lines: Iterator[str]) -> str:
    """The template indents the placeholder, which is the first line."""
    return indent("\n".join(lines), "  ").removeprefix("  ")


def _groups(choices: dict[str, list[str]], chosen: dict[str, str]) -> Iterator[str]:
    for group, names in choices.items():
        if group != "experiment":
            marked = (f"{name}*" if name == chosen.get(group) else name for name in names)
            yield from _row(group, ", ".join(marked), column=12)
    yield "(* holds now)"


def _experiments(folders: Sequence[Path]) -> Iterator[str]:
    files = [file for folder in folders for file in (folder / "experiment").glob("*.yaml")]
    for file in sorted(files):
        yield from _row(file.stem, _purpose(file), column=26)


def _purpose(file: Path) -> str:
    """The last paragraph of the comment that heads an experiment, after its command."""
    comment: list[str] = []
    for line in file.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").strip())
    return "\n".join(comment).rpartition("\n\n")[2].replace("\n", " ")


def _options(config: DictConfig, composer: Composer, chosen: dict[str, str]) -> Iterator[str]:
    yield "of the run"
    for name, field in leaves(Config, ""):
        if "." not in name or name.startswith("paths."):
            yield _option(name, OmegaConf.select(config, name), field)
    for group in KIND_OPTION:
        yield from _kind_group(group, config, composer, chosen[group])
    for section in fields(Config):
        if section.name in sections() and section.name not in (*KIND_OPTION, "paths"):
            yield f"\n{section.name}={chosen[section.name]}"
            for name, field in leaves(section.type, f"{section.name}."):  # type: ignore[arg-type]
                yield _option(name, OmegaConf.select(config, name), field)


def _kind_group(group: str, config: DictConfig, composer: Composer, choice: str) -> Iterator[str]:
    """The options of the choice that holds, then what other choices have besides."""
    schema = OmegaConf.get_type(config, group)
    assert schema is not None
    held = dict(_settable(schema, group))
    yield f"\n{group}={choice}"
    for name, field in held.items():
        yield _option(name, OmegaConf.select(config, name), field)
    for files, more in _of_other_choices(group, held, composer).items():
        yield from wrap(f"with {', '.join(f'{group}={file}' for file in files)}", WIDTH_CHARS - 2)
        for name, field in more:
            yield _option(name, field.default, field)


def _of_other_choices(
    group: str, held: Collection[str], composer: Composer
) -> dict[tuple[str, ...], list[Named]]:
    """The options that some choices have and the one that holds lacks, by those choices.

    An option that choices share is told once, unless they differ in its default or its help.
    """
    found: dict[tuple[str, Any, str], tuple[Field[Any], list[str]]] = {}
    for schema_name, schema in SCHEMAS.items():
        if schema_name.startswith(f"{group}/"):
            for name, field in _settable(schema, group):
                if name not in held:
                    key = (name, field.default, field.metadata["help"])
                    files = found.setdefault(key, (field, []))[1]
                    files.extend(composer.files_with_schema(schema_name))
    by_choices: dict[tuple[str, ...], list[Named]] = {}
    for (name, _, _), (field, files) in found.items():
        by_choices.setdefault(tuple(files), []).append((name, field))
    return by_choices


def _launchers(chosen: str) -> Iterator[str]:
    for name, schema in LAUNCHERS.items():
        yield f"hydra/launcher={name}{'*' if name == chosen else ''}"
        defaults = OmegaConf.structured(schema)
        for option in launcher_options().values():
            if option.schemas == (f"hydra/launcher={name}",):
                yield _option(f"hydra.launcher.{option.name}", defaults[option.name], option.field)


def _settable(schema: type, group: str) -> Iterator[Named]:
    """The options but the one that says which choice it is."""
    kind = f"{group}.{KIND_OPTION[group]}"
    return ((name, field) for name, field in leaves(schema, f"{group}.") if name != kind)


def _option(name: str, value: Any, field: Field[Any]) -> str:
    limits = range_text(field)
    if "choices" not in field.metadata:
        limits = limits.replace(" ", NO_BREAK)
    text = field.metadata["help"] + (f" [{limits}]" if limits else "")
    return "\n".join(_row(f"  {name}={_written(value)}", text, column=HELP_COLUMN))


def _written(value: Any) -> str:
    """A value as one types it."""
    if OmegaConf.is_list(value):
        return json.dumps(list(value), ensure_ascii=False)
    return value if isinstance(value, str) else json.dumps(value)


def _row(left: str, right: str, *, column: int) -> Iterator[str]:
    """Two columns; a left one that is too wide has a line to itself."""
    if len(left) >= column:
        yield left
        left = ""
    for line in wrap(right, WIDTH_CHARS - 2 - column):
        yield f"{left:<{column}}{line}".replace(NO_BREAK, " ")
        left = ""
