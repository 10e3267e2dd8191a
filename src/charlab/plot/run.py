"""A run directory to draw from, or what is wrong with it."""

from pathlib import Path

from charlab import runs
from charlab.errors import UsageError
from charlab.reading.facts import RunFacts, read_run


def run_to_draw(path: Path) -> RunFacts:
    """Raises UsageError where it is none, or one whose record or configuration is damaged."""
    runs.read_record(path)
    try:
        return read_run(path)
    except UsageError as error:
        raise UsageError(
            f"{path} cannot be read",
            expected="run.json and config.yaml as train.py writes them",
            got=error.what,
        ) from error
