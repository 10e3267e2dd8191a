"""YAML as sweep files have it: each key once, which PyYAML by itself does not ask for."""

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from charlab.errors import UsageError


def read_yaml(path: Path) -> Any:
    """What a file holds.

    Raises UsageError where it cannot be read, or has a key twice, FileNotFoundError without one.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise
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
