"""YAML as sweep files have it: each key once, which PyYAML by itself does not ask for."""

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from charlab.config.nearest import nearest
from charlab.errors import UsageError

SWEEPS = Path("sweeps")


def read_yaml(path: Path) -> Any:
    """What a file holds. Raises UsageError where it cannot be read, or has a key twice."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError as error:
        raise _no_file(path) from error
    except _Twice as error:
        raise UsageError(
            f"{path} has {error}",
            expected="each key once: YAML takes the last and drops the others",
            hint="one of them, with all that is meant",
        ) from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UsageError(
            f"{path} cannot be read: {' '.join(str(error).split())}", expected="YAML in UTF-8"
        ) from error


def _no_file(path: Path) -> UsageError:
    """Names the file that was meant, where one of that name is in the folder of sweep files."""
    elsewhere = SWEEPS / path.name
    there = sorted(str(file) for file in path.parent.glob("*.yaml"))
    near = nearest(str(path), there)
    return UsageError(
        f"there is no file {path}",
        expected=f"one of {', '.join(there)}"
        if there
        else "a sweep file, such as those in sweeps/",
        got=str(path),
        hint=f"charlab sweep {elsewhere if elsewhere.exists() else near[0]}"
        if near or elsewhere.exists()
        else "",
    )


class _Twice(Exception):
    """A mapping has a key twice."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Raises _Twice; before `<<` is resolved, as what that brings may be overruled."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in lines:
                raise _Twice(f"the key {key.value} twice, in lines {lines[name]} and {line}")
            lines[name] = line
        return node
