"""What a sweep does not take: a look at the data is no run. Imports nothing heavy."""

from collections.abc import Mapping
from typing import Any

from charlab.errors import UsageError


def check_trains(config: Mapping[str, Any]) -> None:
    """Raises UsageError for the job of a sweep that would show its data, and make no run."""
    if config["data"].get("show"):
        raise UsageError(
            "data.show is for one look at the data, and not for a sweep",
            expected="data.show=true without -m",
            got="data.show=true for a job of a sweep",
            hint="python train.py data.show=true",
            option="data.show",
        )
