"""The command line that makes a run like one of run.json."""

from collections.abc import Mapping
from typing import Any


def words_like(record: Mapping[str, Any]) -> list[str]:
    """What was typed to begin the run, and the budget that it has by now where it was extended."""
    words = [str(word) for word in record["command"]]
    if not record.get("extended"):
        return words
    budget = {f"trainer.{name}=": value for name, value in (record.get("budget") or {}).items()}
    kept = [word for word in words if not word.startswith(tuple(budget))]
    return kept + [f"{name}{'null' if value is None else value}" for name, value in budget.items()]
