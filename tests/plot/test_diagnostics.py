"""The picture of diagnostics: lines and bars, read back from the axes."""

import json
import math

import numpy as np
import pytest

from charlab.plot.figures import figures
from charlab.plot.run import run_to_draw

from ..run_directories import add_diagnostics, make_run


def parts_of(run):
    drawn, missing = figures(run_to_draw(run), "steps")
    assert "diagnostics" in drawn, missing
    return drawn["diagnostics"].axes


def rows_of(run):
    return [json.loads(line) for line in (run / "diagnostics.jsonl").read_text().splitlines()]


@pytest.fixture
def run(tmp_path):
    made = make_run(tmp_path, "gru")
    add_diagnostics(made)
    return made


@pytest.mark.parametrize(("part", "x", "y"), [(0, "lag", "grad_norm"), (1, "position", "bits")])
def test_each_measurement_is_a_line(run, part, x, y):
    drawn = parts_of(run)[part].get_lines()
    assert [line.get_label() for line in drawn] == ["step 0", "step 1,000", "step 3,488"]
    for line, row in zip(drawn, rows_of(run), strict=True):
        np.testing.assert_allclose(np.array(line.get_data()), [row[x], row[y]])


def test_gates_are_bars_of_three_parts(run):
    axes = parts_of(run)[2]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1 reset", "1 update"]
    widths = [[bar.get_width() for bar in bars] for bars in axes.containers]
    assert np.array(widths) == pytest.approx(np.array([[0.1, 0.05], [0.6, 0.35], [0.3, 0.6]]))
    (means,) = axes.get_lines()
    assert means.get_xdata() == pytest.approx([0.5, 0.7])
    assert axes.get_title(loc="left").strip() == "gates at step 3,488"


def test_memory_is_drawn_over_the_steps(run):
    line, limit = parts_of(run)[3].get_lines()
    np.testing.assert_allclose(np.array(line.get_data()), [[0, 1000, 3488], [2.0, 3.0, 5.488]])
    assert set(limit.get_ydata()) == {12}


def test_of_many_measurements_five_are_lines_and_all_are_memory(run):
    add_diagnostics(run, range(0, 1100, 100))
    gradient, _, _, memory = parts_of(run)
    labels = [line.get_label() for line in gradient.get_lines()]
    assert labels == [f"step {step:,}" for step in (0, 200, 500, 800, 1000)]
    assert len(memory.get_lines()[0].get_xdata()) == 11


def test_numbers_that_are_none_are_gaps(run):
    (row,) = rows_of(run)[:1]
    row |= {"bits": [None] * 13, "grad_norm": [None] * 12, "memory_steps": None}
    row["gates"]["1 reset"]["mean"] = None
    (run / "diagnostics.jsonl").write_text(json.dumps(row) + '\n{"step": 3}\n{"st')
    _, loss, gates, memory = parts_of(run)
    assert all(map(math.isnan, loss.get_lines()[0].get_ydata()))
    assert math.isnan(gates.get_lines()[0].get_xdata()[0])
    assert math.isnan(memory.get_lines()[0].get_ydata()[0])
