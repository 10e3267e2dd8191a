"""Rows of a run: the whole ones in their order, whatever else is in the files."""

import json

import pytest

from charlab.reading.row_files import (
    BLOCK_BYTES,
    diagnostics,
    last_samples,
    last_step,
    metrics,
    samples,
)

READERS = {"metrics.jsonl": metrics, "samples.jsonl": samples, "diagnostics.jsonl": diagnostics}
METRICS = {"step": 3, "chars_seen": 30, "seconds": 0.5, "val/bpc": 2.5}
SAMPLE = {"step": 3, "prompt": "", "temperature": 1.0, "text": "Ann", "ended": True}
MEASURED = {
    "step": 3,
    "memory_steps": None,
    "lag": [0, 1],
    "grad_norm": [0.5, None],
    "position": [1],
    "bits": [2.0],
    "gates": {"1 reset": {"low": 0.1, "high": None, "mean": 0.5}},
}
WHOLE = dict(zip(READERS, (METRICS, SAMPLE, MEASURED), strict=True))
# no measurement, and too large for a float
HUGE = 10**400
DAMAGED = {
    "metrics.jsonl": [{"step": "3"}, {"chars_seen": 1}],
    "samples.jsonl": [
        {"step": 1},
        *(SAMPLE | change for change in ({"text": 3}, {"prompt": None}, {"temperature": "1"})),
        SAMPLE | {"temperature": HUGE},
    ],
    "diagnostics.jsonl": [
        {"step": 1},
        *({**MEASURED, "lag": lag} for lag in (None, "ab", [0], ["a", "b"], [0, HUGE])),
        *({**MEASURED, "gates": gates} for gates in ([1], {"1 reset": 3}, {"1 reset": {}})),
        MEASURED | {"gates": {"1 reset": {"low": "a", "high": 0.1, "mean": 0.5}}},
        MEASURED | {"memory_steps": "long"},
    ],
}


def write(file, rows, rest=""):
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + rest)


@pytest.mark.parametrize("name", READERS)
def test_the_whole_rows_are_read_in_their_order(tmp_path, name):
    read, whole = READERS[name], WHOLE[name]
    rows = [whole, *DAMAGED[name], whole | {"step": 2}, whole | {"step": 7}]
    write(tmp_path / name, rows, '[]\nno JSON\n{"step": 8, "la')
    assert list(read(tmp_path)) == [row for row in rows if row not in DAMAGED[name]]


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_not_there_or_cannot_be_read_has_none(tmp_path, name):
    assert list(READERS[name](tmp_path)) == []
    (tmp_path / name).mkdir()
    assert list(READERS[name](tmp_path)) == []
    assert last_step(tmp_path) is None
    assert last_samples(tmp_path) == []


@pytest.mark.parametrize("num_rows", [1, 3 * BLOCK_BYTES // len(json.dumps(METRICS))])
def test_the_last_step_is_that_of_the_last_whole_row(tmp_path, num_rows):
    rows = [METRICS | {"step": step} for step in range(num_rows)]
    write(tmp_path / "metrics.jsonl", rows, '{"step": 999999, "la')
    assert last_step(tmp_path) == num_rows - 1
    write(tmp_path / "metrics.jsonl", [], "no row\n")
    assert last_step(tmp_path) is None


def rows_of(step, num, length=10):
    return [
        {"step": step, "prompt": "", "temperature": 1.0, "text": f"{n}" * length}
        for n in range(num)
    ]


@pytest.mark.parametrize("length", [10, BLOCK_BYTES // 3])
def test_samples_of_the_last_step_are_read_from_the_end(tmp_path, length):
    file = tmp_path / "samples.jsonl"
    kept = rows_of(1000, 8, length)
    lines = [json.dumps(row) for row in [*rows_of(500, 40, length), *kept]]
    lines.insert(-3, '{"step": 1000, "prompt": "", "temp')
    file.write_text("\n".join(lines) + "\n")
    assert last_samples(tmp_path) == kept
    file.write_text("\n".join(lines[-6:]) + "\n")
    assert last_samples(tmp_path) == kept[-5:]
    file.write_text("")
    assert last_samples(tmp_path) == []
