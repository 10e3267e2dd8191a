"""What the benchmarks count with: turns, intervals, peaks, and a table of what is wanted."""

import importlib
import time
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def module(monkeypatch):
    """Imports a file of benchmarks/, as they import each other."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def test_the_ratio_is_that_of_the_same_round(module):
    ratio = module("turns").ratio
    assert ratio([2.0, 4.0, 8.0], [1.0, 1.0, 1.0]) == (4.0, 2.0, 8.0)
    # rounds that one of the two did not have count for nothing
    assert ratio([2.0, 4.0, 8.0], [1.0]) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(("rounds", "low"), [(5, 1), (6, 1), (8, 1), (9, 2), (12, 3), (15, 4)])
def test_the_interval_is_that_of_tables_of_the_sign_test(module, rounds, low):
    found = module("turns").ratio(list(range(1, rounds + 1)), [1.0] * rounds)
    assert (found.low, found.high) == (low, rounds + 1 - low)


def test_calls_take_turns_until_their_budget_is_spent(module, monkeypatch):
    turns = module("turns")
    monkeypatch.setattr(turns, "BLOCK_S", 0.001)
    order = []

    def call(name, pause_s):
        order.append(name)
        time.sleep(pause_s)

    calls = {"a": lambda: call("a", 0.01), "b": lambda: call("b", 0.01)}
    took_ms = turns.take_turns(calls, 5, {"a": 10.0, "b": 0.0})
    assert {name: len(found) for name, found in took_ms.items()} == {"a": 5, "b": 3}
    assert "".join(order) == "aabb" + "ab" + "ba" + "ab" + "a" + "a"
    assert all(found >= 10 for found in took_ms["a"])


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_peaks_are_those_of_the_call(module):
    with_peak = module("turns").with_peak
    length, peak_mib = with_peak(lambda: len(b"x" * (64 * 2**20)))
    assert length == 64 * 2**20
    assert 60 < peak_mib < 100
    assert with_peak(lambda: None)[1] < 30


def test_shapes_are_read_as_they_are_written(module):
    shape = module("stacks").Shape
    assert shape.read("100,512,300,30x2:bf16") == (100, 512, 300, 30, 2, "bf16")
    assert shape.read("1,2,3,4") == (1, 2, 3, 4, 1, "fp32")
    for text in module("engine").SHAPES:
        assert str(shape.read(text)) == text
    for text in ("1,2,3", "1,2,3,4x", "1,2,3,4:fp16", "a"):
        with pytest.raises(ValueError, match=text):
            shape.read(text)


def test_what_is_wanted_is_wanted_of_what_is_measured(module):
    engine = module("engine")
    assert set(engine.WANTED) <= set(module("stacks").ENTRIES)
    assert {shape for cell in engine.WANTED.values() for shape in cell} == set(engine.SHAPES)


def test_layers_of_torch_have_the_weights_of_their_cells(module, tmp_path):
    """Outputs and all gradients are equal: so a ratio compares the same computation."""
    stacks, rows = module("stacks"), module("layer_rows")
    shape = stacks.Shape.read("5,3,4,6x2")
    problem = stacks.Problem(shape)
    for entry in (entry for entry in stacks.ENTRIES.values() if entry.equal):
        exact = stacks.build(entry, shape, "reference", tmp_path)
        builtin = stacks.build(entry, shape, "torch", tmp_path)
        exact_y, exact_gradients = problem.exact(exact)
        y, gradients = problem.both(builtin)
        assert rows.relative_error(y, exact_y) < 1e-6
        wanted, found = (
            rows.by_gate(exact.double(), exact_gradients),
            rows.by_gate(builtin, gradients),
        )
        assert wanted.keys() == found.keys()
        assert all(rows.relative_error(found[name], wanted[name]) < 1e-5 for name in wanted)


def test_an_exact_answer_does_not_depend_on_the_rows_at_a_time(module, tmp_path, monkeypatch):
    stacks = module("stacks")
    shape = stacks.Shape.read("5,7,4,6")
    problem = stacks.Problem(shape)
    stack = stacks.build(stacks.ENTRIES["mlstm"], shape, "reference", tmp_path)
    whole = problem.exact(stack)
    monkeypatch.setattr(stacks, "EXACT_ROWS", 3)
    parts = problem.exact(stack)
    assert (whole[0] - parts[0]).abs().max() < 1e-14
    for one, other in zip(whole[1], parts[1], strict=True):
        assert (one - other).abs().max() < 1e-12
