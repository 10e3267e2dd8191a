"""One option of the schema: a dataclass field with its help and its range."""

from collections.abc import Sequence
from dataclasses import field
from typing import Any

MAX_SEED = 2**63 - 1


def option(
    default: Any,
    help: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    choices: Sequence[str] | None = None,
    filled: bool = False,
) -> Any:
    """A dataclass field with a line of help and the range of its values (of a list's items).

    filled: a list has to have an item.
    """
    limits = {"ge": ge, "gt": gt, "le": le, "lt": lt, "choices": choices, "filled": filled or None}
    metadata = {"help": help} | {key: value for key, value in limits.items() if value is not None}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)
