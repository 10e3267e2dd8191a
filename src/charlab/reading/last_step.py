"""How far a run is, by the end of its metrics.jsonl."""

from pathlib import Path

from charlab.rows import parsed

# more than a row takes
END_BYTES = 1 << 14


def last_step(run: Path) -> int | None:
    """The step of its last whole row; None where there is none."""
    try:
        with (run / "metrics.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - END_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return None
    steps = [int(row["step"]) for row in parsed(lines)]
    return steps[-1] if steps else None
