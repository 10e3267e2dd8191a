"""The engine on a GPU itself. Where there is none, nothing of this runs."""

import pytest
import torch

from charlab.cells.custom_gru import CustomGRU
from charlab.cells.custom_lstm import CustomLSTM
from charlab.cells.custom_rnn import CustomRNN

from .gpu import I, Problem, check
from .odd_cells import ELEMENTWISE

pytest.importorskip("triton")
if not torch.cuda.is_available():
    pytest.skip("needs a GPU", allow_module_level=True)

from charlab.engine.gpu.fit import Chip
from charlab.engine.gpu.loop import Loop
from charlab.engine.gpu.steps import Steps

CELLS = {
    "rnn": lambda h: CustomRNN(I, h, nonlinearity="tanh", bias="both"),
    "before": lambda h: CustomGRU(I, h, bias="input", reset="before", update_gate="admit"),
    "after": lambda h: CustomGRU(I, h, bias="both", reset="after", update_gate="keep"),
    "lstm": lambda h: CustomLSTM(I, h, forget_bias=1.0, bias="both"),
    **{cell.__name__: (lambda h, cell=cell: cell(I, h)) for cell in ELEMENTWISE},
}


@pytest.fixture(autouse=True)
def exact_products(monkeypatch):
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("way", ["steps", "loop"])
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients(name, way, narrow):
    """Twice, so that graphs are recorded and found again; 19 steps are two graphs and a rest."""
    problem = Problem(CELLS[name](48), num_steps=19, batch_size=21, device="cuda")
    runner = problem.runner(Chip(0, False) if way == "steps" else None)
    for _ in range(2):
        tolerance = 0.05 if narrow else 1e-5
        check(problem.run(runner, narrow=narrow), problem.reference(narrow=narrow), tolerance)
    assert type(*runner._ways.values()) is (Steps if way == "steps" else Loop)
    for one in runner._ways.values():
        if isinstance(one, Steps):
            assert len(one._graphs._graphs) == 2 and not one._graphs._refused


@pytest.mark.parametrize("size", [1, 16, 96, 128, 160, 300])
@pytest.mark.parametrize("name", ["before", "lstm"])
def test_hidden_sizes_as_the_device_decides(name, size):
    problem = Problem(CELLS[name](size), num_steps=9, batch_size=33, device="cuda")
    for narrow in (False, True):
        found = problem.run(problem.runner(None), narrow=narrow)
        check(found, problem.reference(narrow=narrow), 0.05 if narrow else 1e-5)


def test_within_a_recording_of_another():
    """A sequence in somebody else's graph records none of its own."""
    problem = Problem(CELLS["lstm"](300), num_steps=16, batch_size=4, device="cuda")
    runner = problem.runner(None)
    wanted = problem.run(runner)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        y, _ = problem.outputs(runner)
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(y, wanted.y)
