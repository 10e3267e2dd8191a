"""The rows of a run: metrics.jsonl, samples.jsonl, diagnostics.jsonl.

What is damaged is passed over, also the half of a row that a killed process leaves; a file that is
not there, or cannot be read, has none. Metrics to plot are read by `curves`, which parses few rows.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charlab.rows import parsed

Row = dict[str, Any]
# no measurement is as large
FAR = 1e300
# of diagnostics: lists as long as each other, and what is known of a gate
LISTS = (("lag", "grad_norm"), ("position", "bits"))
GATE = ("low", "high", "mean")
# read at a time from the end of a file; more than a row of metrics takes
BLOCK_BYTES = 2**16


def metrics(run: Path) -> Iterator[Row]:
    """step, chars_seen, seconds, and metrics by name."""
    return _rows(run / "metrics.jsonl")


def last_step(run: Path) -> int | None:
    """The step of the last row of metrics; None where there is none. Reads the end of the file."""
    try:
        with (run / "metrics.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - BLOCK_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return None
    steps = [int(row["step"]) for row in parsed(lines)]
    return steps[-1] if steps else None


def samples(run: Path) -> Iterator[Row]:
    """step, prompt, temperature, text, and whether it ended."""
    return filter(_is_sample, _rows(run / "samples.jsonl"))


def last_samples(run: Path) -> list[Row]:
    """The samples of the last step. Read from the end: before it are those of all other steps."""
    file = run / "samples.jsonl"
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            length = min(size, BLOCK_BYTES)
            while True:
                opened.seek(size - length)
                lines = opened.read(length).split(b"\n")
                # the first line of a block may have lost its beginning
                found = list(filter(_is_sample, parsed(lines[length < size :])))
                if length == size or (found and found[0]["step"] != found[-1]["step"]):
                    break
                length = min(size, 4 * length)
    except OSError:
        return []
    return [row for row in found if row["step"] == found[-1]["step"]]


def diagnostics(run: Path) -> Iterator[Row]:
    """step, memory_steps, LISTS, and GATE of each gate; null for what was not finite."""
    return filter(_is_measured, _rows(run / "diagnostics.jsonl"))


def is_finite(value: Any) -> bool:
    """Also False for an integer that no float can hold."""
    return isinstance(value, int | float) and -FAR < value < FAR


def _rows(file: Path) -> Iterator[Row]:
    try:
        with file.open("rb") as opened:
            yield from parsed(opened)
    except OSError:
        return


def _is_sample(row: Row) -> bool:
    texts = isinstance(row.get("prompt"), str) and isinstance(row.get("text"), str)
    return texts and is_finite(row.get("temperature"))


def _is_measured(row: Row) -> bool:
    lists = [row.get(name) for pair in LISTS for name in pair]
    gates = row.get("gates")
    return (
        all(isinstance(one, list) and all(map(_is_known, one)) for one in lists)
        and all(len(row[x]) == len(row[y]) for x, y in LISTS)
        and isinstance(gates, dict)
        and all(isinstance(gate, dict) and _is_gate(gate) for gate in gates.values())
        and _is_known(row.get("memory_steps"))
    )


def _is_gate(gate: Row) -> bool:
    return all(part in gate and _is_known(gate[part]) for part in GATE)


def _is_known(value: object) -> bool:
    return value is None or is_finite(value)
