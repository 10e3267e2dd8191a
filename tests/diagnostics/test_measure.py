"""All measurements at once: what they say as a row, and that they leave no trace."""

import json
import math

import pytest
import torch

from charlab.diagnostics.measure import Diagnostics, measure
from charlab.rows import finite

from ..engine import odd_cells
from .making import batch, model_of, model_of_class

LSTM = {"forget_bias": 1.0, "bias": "both"}


def test_a_row_holds_plain_numbers():
    row = measure(model_of("custom_lstm", LSTM, num_layers=1), batch()).row
    assert json.loads(json.dumps(row)) == row
    assert row["lag"] == [0, 1, 2, 3, 4, 5]
    assert row["position"] == [1, 2, 3, 4, 5, 6]
    assert len(row["grad_norm"]) == len(row["bits"]) == 6
    assert set(row["gates"]) == {"1 input", "1 forget", "1 output"}
    assert set(row["gates"]["1 forget"]) == {"low", "high", "mean"}
    assert row["memory_steps"] in range(1, 7)


def test_the_metrics_are_those_of_the_row():
    found = measure(model_of("gru", {}), batch())
    saturated = [gate["low"] + gate["high"] for gate in found.row["gates"].values()]
    assert found.metrics == {
        "diagnostics/memory_steps": found.row["memory_steps"],
        "diagnostics/saturated": pytest.approx(sum(saturated) / 4),
    }


@pytest.mark.parametrize("was_training", [True, False])
def test_nothing_of_the_model_or_the_random_numbers_is_touched(was_training):
    model = model_of("custom_gru", GRU, dropout=0.5, layer_norm=True).train(was_training)
    model.dropout.train(not was_training)
    modes = [module.training for module in model.modules()]
    head = model.head.weight
    head.grad = torch.full_like(head, 2.0)
    before = {name: part.clone() for name, part in model.state_dict().items()}
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    measure(model, batch())
    assert torch.equal(torch.rand(3), wanted)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(part, before[name]) for name, part in model.state_dict().items())
    assert torch.equal(head.grad, torch.full_like(head, 2.0))
    others = [part for part in model.parameters() if part is not head]
    assert all(part.grad is None and part.requires_grad for part in others)


GRU = {"bias": "none", "reset": "before", "update_gate": "admit"}


def test_a_cell_that_draws_does_not_disturb_the_draws_of_training():
    model = model_of_class(Drawing, "auto", 1)
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    measure(model, batch())
    assert torch.equal(torch.rand(3), wanted)


class Drawing(odd_cells.Own):
    """Noise in the step, in training and after it."""

    def new(self, one, two, h):
        return h + one.sigmoid() * ((two + torch.randn_like(two)).tanh() - h)


def test_layers_of_torch_have_gradients_in_eval_mode_on_a_gpu_too():
    """cuDNN refuses them there; what torch has besides does not."""
    seen = []

    class Looking(odd_cells.Own):
        def new(self, one, two, h):
            seen.append(torch.backends.cudnn.enabled)
            return (one + two + h).tanh()

    before = torch.backends.cudnn.enabled
    measure(model_of_class(Looking, "reference", 1), batch())
    assert set(seen) == {False}
    assert torch.backends.cudnn.enabled == before


@pytest.mark.parametrize("cell", ["gru", "custom_lstm"])
def test_the_mode_and_the_precision_around_it_change_nothing(cell):
    """Dropout is off; validation runs in inference mode, and in another precision."""
    options = {"gru": {}, "custom_lstm": LSTM}[cell]
    of = batch()
    plain = measure(model_of(cell, options).float(), of).row
    model = model_of(cell, options, dropout=0.5).float().train()
    assert measure(model, of).row == plain
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert measure(model, of).row == plain
    with torch.no_grad():
        assert measure(model, of).row == plain


@pytest.mark.parametrize("cell", [*odd_cells.ELEMENTWISE, *odd_cells.ANY, *odd_cells.AGAIN])
def test_cells_of_ones_own_are_measured_as_on_the_reference(cell):
    """On the engine that they get, which for some is the reference."""
    wanted, found = (measure(model_of_class(cell, one), batch()) for one in ("reference", "auto"))
    assert found.grad_norm == pytest.approx(wanted.grad_norm, rel=1e-9, abs=1e-12)
    assert found.bits == pytest.approx(wanted.bits, rel=1e-9)
    assert found.gates.keys() == wanted.gates.keys()
    for name, gate in wanted.gates.items():
        assert found.gates[name] == pytest.approx(gate, rel=1e-9), name


def test_a_model_that_diverged_is_told_without_an_error():
    model = model_of("gru", {})
    with torch.no_grad():
        model.head.bias.fill_(math.nan)
    row = finite(measure(model, batch()).row)
    assert row["memory_steps"] is None
    assert row["bits"] == [None] * 6
    assert row["gates"]["1 reset"]["mean"] is not None


def test_one_step_is_enough():
    of = type(batch())(*(tensor[:1] if tensor.dim() == 2 else tensor for tensor in batch()))
    found = measure(model_of("rnn", {"nonlinearity": "relu"}), of)
    assert isinstance(found, Diagnostics)
    assert (found.row["lag"], found.row["position"]) == ([0], [1])
    assert found.row["memory_steps"] == 1
