"""Gates of each cell against the equations in numpy; sigmoids find their names by themselves."""

import numpy as np
import pytest
import torch
from torch import nn

from charlab.cells.base import Cell, HiddenState
from charlab.diagnostics.gates import Saturation, gate_saturation, saturated_part

from ..cells import numpy_cells
from ..cells.table import CASES, case_id
from ..cells.test_conformance import weights_of
from ..engine import odd_cells
from .making import LENGTHS, batch, model_of, model_of_class, unrolled

GRU = ("reset", "update")
LSTM = ("input", "forget", "output")
# of each cell, in the order in which `numpy_cells` computes them
SIGMOIDS = {"gru": GRU, "custom_gru": GRU, "lstm": LSTM, "custom_lstm": LSTM, "mlstm": LSTM}


def layer_gates(cell):
    """In the order in which the cell names them: that of `torch.nn`."""
    order = ("reset", "update", "input", "forget", "output")
    return sorted(SIGMOIDS.get(cell, ["state"]), key=[*order, "state"].index)


def by_numpy(model, row, of, monkeypatch):
    """The values of each gate of each layer at steps with a target, and the outputs."""
    calls, sigmoid = [], numpy_cells.sigmoid

    def kept(a):
        calls.append(sigmoid(a))
        return calls[-1]

    monkeypatch.setattr(numpy_cells, "sigmoid", kept)
    found, names = {}, SIGMOIDS.get(row.cell, ())
    x_TBI = model.embedding(of.inputs_TB).detach().numpy()
    for number, layer in enumerate(model.layers, 1):
        state = [part.detach().numpy() for part in layer.initial_state(len(LENGTHS))]
        calls.clear()
        x_TBI, _ = numpy_cells.run(row.step, weights_of(layer), x_TBI, state)
        # a row after another, in each the steps, in each the gates
        gates = np.array(calls).reshape(len(LENGTHS), len(x_TBI), len(names), layer.hidden_size)
        for index, name in enumerate(names):
            rows = [gates[row, :length, index] for row, length in enumerate(LENGTHS)]
            found[f"{number} {name}"] = np.concatenate(rows)
        if not names:
            rows = [x_TBI[:length, row] for row, length in enumerate(LENGTHS)]
            found[f"{number} state"] = np.abs(np.concatenate(rows))
    monkeypatch.undo()
    return found


@pytest.mark.parametrize(("row", "engine"), CASES, ids=case_id)
def test_gates_are_those_of_the_published_equations(row, engine, monkeypatch):
    model, of = model_of(row.cell, row.options, engine), batch()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # so that some of their gates are saturated
    found = gate_saturation(model, unrolled(model, of))
    wanted = by_numpy(model, row, of, monkeypatch)
    assert list(found) == [
        f"{number} {gate}" for number in (1, 2) for gate in layer_gates(row.cell)
    ]
    for name, values in wanted.items():
        parts = ((values < 0.1).mean(), (values > 0.9).mean(), values.mean())
        assert found[name] == pytest.approx(parts, rel=1e-9), name
    assert saturated_part(found) > 0


@pytest.mark.parametrize("engine", ["reference", "auto"])
@pytest.mark.parametrize(
    "cell",
    [*odd_cells.ELEMENTWISE, *odd_cells.ANY, *odd_cells.AGAIN],
    ids=lambda cell: cell.__name__,
)
def test_cells_of_ones_own_need_nothing_more(cell, engine):
    model = model_of_class(cell, engine)
    before = {name: part.clone() for name, part in model.state_dict().items()}
    found = gate_saturation(model, unrolled(model, batch()))
    gates = {name.partition(" ")[2] for name in found}
    assert gates == EXPECTED.get(cell.__name__, {"state"})
    assert all(0 <= part <= 1 for one in found.values() for part in (one.low, one.high))
    assert all(torch.equal(part, before[name]) for name, part in model.state_dict().items())


# what else the odd cells have has no sigmoid
EXPECTED = {
    **{name: {"one"} for name in ("Own", "NoProduct", "Forgetful", "Several", "Shared")},
    **{name: {"one"} for name in ("Normed", "Dropped", "Keeping", "InPlace", "Hooked")},
    "Peephole": {"input", "forget", "output"},
    "Constant": {"two"},
    # it reads its gates from the state alone
    "Detached": {"sigmoid 1"},
}


class Several(Cell):
    """Sigmoids of any kind: several gates at once, in place, of a constant, of a mixture."""

    gates = ("first", "second", "third")

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size, "both")
        self.recur = self.recurrent_linear("first", "second")
        self.decay = nn.Parameter(torch.zeros(hidden_size))

    def step(self, x_BG, state):
        x_two, x_third = x_BG.tensor_split([2 * self.hidden_size], -1)
        first, second = torch.special.expit(x_two + self.recur(state.h_BH)).chunk(2, -1)
        third = (x_third * first).add(0).sigmoid_()
        mixed = nn.Sigmoid()(x_two.chunk(2, -1)[0] + x_third)
        h = torch.sigmoid(input=self.decay) * state.h_BH + first * second * third * mixed
        return HiddenState(h.tanh())


def test_sigmoids_of_any_kind_are_found_and_told_apart():
    model = model_of_class(Several, "auto", 1)
    run = unrolled(model, batch())
    found = gate_saturation(model, run)
    # the third is a product, so that it could be either; so is the mixture
    names = ["first", "second", "sigmoid 3", "sigmoid 4", "sigmoid 5"]
    assert list(found) == [f"1 {name}" for name in names]
    cell = next(iter(model.layers)).cell
    h_TBH = torch.stack([state[0].h_BH for state in run.states[:-1]])
    x_TBG = cell.input_linear(run.inputs[0])
    pre = x_TBG.chunk(3, -1)[1] + cell.recur(h_TBH).chunk(2, -1)[1]
    second = pre.detach().sigmoid()[batch().targets_TB >= 0]
    assert found["1 second"].mean == pytest.approx(float(second.mean()))
    assert found["1 second"].high == pytest.approx(float((second > 0.9).double().mean()))
    assert found["1 sigmoid 5"] == pytest.approx(Saturation(0.0, 0.0, 0.5), abs=0.3)


def test_a_state_is_saturated_at_its_upper_end_alone():
    gates = {"1 reset": Saturation(0.1, 0.2, 0.5), "2 state": Saturation(0.4, 0.5, 0.5)}
    assert saturated_part(gates) == pytest.approx((0.3 + 0.5) / 2)
