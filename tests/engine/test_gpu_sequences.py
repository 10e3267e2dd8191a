"""The kernels for GPUs, interpreted on a CPU, against the reference in float64."""

import pytest
import torch

from charlab.cells.custom_gru import CustomGRU
from charlab.cells.custom_lstm import CustomLSTM
from charlab.cells.custom_rnn import CustomRNN
from charlab.cells.mlstm import MLSTM

from .gpu import I, Problem, check
from .odd_cells import ELEMENTWISE

pytest.importorskip("triton")

from charlab.engine.gpu import capture
from charlab.engine.gpu.fit import Chip
from charlab.engine.gpu.loop import Loop
from charlab.engine.gpu.steps import Steps

CHIPS = {"steps": Chip(0, False), "loop": Chip(2**18, True)}
WAYS = {"steps": Steps, "loop": Loop}
CELLS = {
    "rnn": lambda h: CustomRNN(I, h, nonlinearity="tanh", bias="both"),
    "relu": lambda h: CustomRNN(I, h, nonlinearity="relu", bias="none"),
    "before": lambda h: CustomGRU(I, h, bias="input", reset="before", update_gate="admit"),
    "after": lambda h: CustomGRU(I, h, bias="both", reset="after", update_gate="keep"),
    "lstm": lambda h: CustomLSTM(I, h, forget_bias=1.0, bias="both"),
    "mlstm": lambda h: MLSTM(I, h, forget_bias=1.0, bias="both"),
    **{cell.__name__: (lambda h, cell=cell: cell(I, h)) for cell in ELEMENTWISE},
}


@pytest.fixture
def recorded(monkeypatch):
    """Graphs that run what they would have recorded. Gives the list of how often they did."""
    replays = []

    def record(run):
        return lambda: (replays.append(1), run())

    monkeypatch.setattr(capture, "record", record)
    monkeypatch.setattr(capture, "can_record", lambda like: True)
    monkeypatch.setattr(capture, "STEPS", 2)
    return replays


@pytest.mark.parametrize("way", CHIPS)
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_those_of_the_reference(name, way):
    problem = Problem(CELLS[name](5), num_steps=3, batch_size=2)
    runner = problem.runner(CHIPS[way])
    check(problem.run(runner), problem.reference(), 2e-6)
    assert {type(one) for one in runner._ways.values()} == {WAYS[way]}


@pytest.mark.parametrize("way", CHIPS)
@pytest.mark.parametrize("name", ["after", "mlstm", "Several", "NoProduct"])
def test_with_nothing_saved(name, way):
    problem = Problem(CELLS[name](5), num_steps=3, batch_size=2)
    y, state = problem.outputs(problem.runner(CHIPS[way]))
    wanted = problem.reference()
    for tensor, right in zip((y, *state), (wanted.y, *wanted.state), strict=True):
        assert torch.allclose(tensor.double(), right, atol=1e-6)


@pytest.mark.parametrize(
    ("num_steps", "batch_size", "hidden_size"), [(1, 1, 1), (2, 17, 5), (2, 2, 70)]
)
@pytest.mark.parametrize("way", CHIPS)
@pytest.mark.parametrize("name", ["before", "lstm"])
def test_other_sizes(name, way, num_steps, batch_size, hidden_size):
    """One of all, more rows than a program has, two tiles of hidden units."""
    problem = Problem(CELLS[name](hidden_size), num_steps, batch_size)
    check(problem.run(problem.runner(CHIPS[way])), problem.reference(), 2e-6)


@pytest.mark.parametrize("way", CHIPS)
@pytest.mark.parametrize("name", ["after", "mlstm"])
def test_narrow_products(name, way):
    """As autocast, within bfloat16, whose numbers the interpreter cuts off where a GPU rounds."""
    problem = Problem(CELLS[name](5), num_steps=3, batch_size=2)
    found = problem.run(problem.runner(CHIPS[way]), narrow=True)
    check(found, problem.reference(narrow=True), 0.03)
    assert (found.y - problem.reference().y).norm() > 1e-4


@pytest.mark.parametrize("num_steps", [2, 5])
@pytest.mark.parametrize("name", ["before", "lstm", "NoProduct"])
def test_graphs_cut_a_sequence_into_pieces(recorded, name, num_steps):
    problem = Problem(CELLS[name](3), num_steps, batch_size=2)
    runner = problem.runner(CHIPS["steps"])
    for _ in range(2):  # recorded, and found again
        check(problem.run(runner), problem.reference(), 2e-6)
    assert len(recorded) == 2 * 2 * (num_steps // capture.STEPS)


def test_the_number_of_graphs_is_bounded(recorded, monkeypatch):
    monkeypatch.setattr(capture, "MAX_GRAPHS", 2)
    like = torch.zeros(2, 2, 3)
    graphs, made = capture.Graphs(), []
    run = {key: lambda key=key: made.append(key) or object() for key in "abc"}
    for key in "abacab":
        graphs.get(key, like, run[key])
    assert made == ["a", "b", "c", "b"]
    assert graphs.get("a", like[:1], run["a"]) is None
    assert graphs.get("a", torch.zeros(1).expand(2, 2**17, 3), run["a"]) is None


def test_without_graphs_it_goes_on(recorded, monkeypatch, caplog):
    def refuse(run):
        raise RuntimeError("not here")

    monkeypatch.setattr(capture, "record", refuse)
    problem = Problem(CELLS["rnn"](3), num_steps=2, batch_size=2)
    check(problem.run(problem.runner(CHIPS["steps"])), problem.reference(), 2e-6)
    assert [record.getMessage() for record in caplog.records] == [
        "CUDA graphs cannot be recorded here; the engine works without, more slowly (not here)"
    ]


def test_a_launch_that_takes_too_much_is_made_step_by_step(monkeypatch):
    from triton import OutOfResources

    def refuse(*args, **kwargs):
        raise OutOfResources(2, 1, "shared memory")

    monkeypatch.setattr(Loop, "_launch", refuse)
    problem = Problem(CELLS["rnn"](3), num_steps=2, batch_size=2)
    check(problem.run(problem.runner(CHIPS["loop"])), problem.reference(), 2e-6)
