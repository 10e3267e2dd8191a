"""Cells on charlab's engine against torch's own, and against the notebooks, by copied weights."""

import pytest
import torch
from torch import nn

from charlab.config.schema import CustomGRUConfig
from charlab.engine import build_layer
from charlab.model import cell_options

from .table import BIASES, B, H, I, T, random, randomise

GRU_AS_TORCH = {"bias": "both", "reset": "after", "update_gate": "keep"}

# builtin of torch, cell of charlab that equals it, and for each of its parameters what torch holds
# in its place: (name in torch, first gate, number of gates)
TWINS = {
    "gru": (
        lambda: nn.GRU(I, H),
        lambda: build_layer("custom_gru", I, H, GRU_AS_TORCH),
        {
            "input_linear": ("ih", 0, 3),
            "recur_rz": ("hh", 0, 2),
            "recur_n": ("hh", 2, 1),
        },
    ),
    "lstm": (
        lambda: nn.LSTM(I, H),
        lambda: build_layer("custom_lstm", I, H, {"forget_bias": 1.0, "bias": "both"}),
        {"input_linear": ("ih", 0, 4), "recur": ("hh", 0, 4)},
    ),
    **{
        f"rnn-{phi}": (
            lambda phi=phi: nn.RNN(I, H, nonlinearity=phi),
            lambda phi=phi: build_layer("custom_rnn", I, H, {"nonlinearity": phi, "bias": "both"}),
            {"input_linear": ("ih", 0, 1), "recur": ("hh", 0, 1)},
        )
        for phi in ("tanh", "relu")
    },
}


def assert_close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("twin", TWINS)
def test_equals_torch_in_values_and_gradients(twin):
    """Outputs, final states, gradients of every parameter, of the input and of the first state."""
    make_builtin, make_layer, places = TWINS[twin]
    builtin, layer = randomise(make_builtin().double()), make_layer().double()
    pairs = []
    for linear, (product, first, number) in places.items():
        for kind in ("weight", "bias"):
            stacked = builtin.get_parameter(f"{kind}_{product}_l0")
            pairs.append((layer.cell.get_parameter(f"{linear}.{kind}"), stacked, first, number))
    with torch.no_grad():
        for own, stacked, first, number in pairs:
            own.copy_(stacked[first * H : (first + number) * H])
    assert len(pairs) == len(list(layer.parameters()))

    num_parts = 2 if twin == "lstm" else 1
    weight_y, weight_state = random(T, B, H, seed=7), random(num_parts, B, H, seed=8)

    def leaves():
        x = random(T, B, I, seed=2).requires_grad_()
        return x, [random(B, H, seed=3 + k).requires_grad_() for k in range(num_parts)]

    def backward(y, parts):
        ((weight_y * y).sum() + (weight_state * torch.stack(parts)).sum()).backward()

    x, first = leaves()
    state_type = type(layer.initial_state(B))
    y, after = layer(x, state_type(*first))
    backward(y, list(after))

    x_torch, first_torch = leaves()
    stacked = [part[None] for part in first_torch]
    y_torch, after_torch = builtin(x_torch, tuple(stacked) if num_parts == 2 else stacked[0])
    after_torch = [part[0] for part in (after_torch if num_parts == 2 else (after_torch,))]
    backward(y_torch, after_torch)

    assert_close(y, y_torch)
    assert_close(list(after), after_torch)
    assert_close(x.grad, x_torch.grad)
    assert_close([part.grad for part in first], [part.grad for part in first_torch])
    for own, stacked, first_gate, number in pairs:
        assert_close(own.grad, stacked.grad[first_gate * H : (first_gate + number) * H])


def test_the_default_gru_is_the_one_of_the_enwik8_notebook():
    """No biases, z admits, and r acts before the product: weights on the concatenation [h, x]."""
    options = cell_options(CustomGRUConfig(cell="custom_gru"))
    layer = randomise(build_layer("custom_gru", I, H, options).double())
    cell = layer.cell
    assert all(parameter.dim() == 2 for parameter in layer.parameters())
    recurrent = torch.cat([cell.recur_rz.weight, cell.recur_n.weight])
    w_r, w_z, w_n = torch.cat([recurrent, cell.input_linear.weight], 1).chunk(3)

    x, h = random(T, B, I), random(B, H, seed=2)
    y, _ = layer(x, type(layer.initial_state(B))(h))
    for t in range(T):
        hx = torch.cat([h, x[t]], 1)
        r, z = torch.sigmoid(hx @ w_r.T), torch.sigmoid(hx @ w_z.T)
        n = torch.tanh(torch.cat([r * h, x[t]], 1) @ w_n.T)
        h = (1 - z) * h + z * n
        assert_close(y[t], h)


def test_relu_with_one_bias_is_the_rnn_of_the_names_notebook():
    """One Linear on [x, h], then relu."""
    layer = build_layer("custom_rnn", I, H, {"nonlinearity": "relu", "bias": "input"}).double()
    linear = randomise(nn.Linear(I + H, H).double())
    with torch.no_grad():
        layer.cell.input_linear.weight.copy_(linear.weight[:, :I])
        layer.cell.input_linear.bias.copy_(linear.bias)
        layer.cell.recur.weight.copy_(linear.weight[:, I:])
    x, h = random(T, B, I), random(B, H, seed=2)
    y, _ = layer(x, type(layer.initial_state(B))(h))
    for t in range(T):
        h = linear(torch.cat([x[t], h], 1)).relu()
        assert_close(y[t], h)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("reset", ["before", "after"])
def test_admit_with_the_weights_of_z_negated_is_keep(bias, reset):
    """sigmoid(-a) = 1 - sigmoid(a), so the two conventions differ by the sign of z alone."""
    form = {"bias": bias, "reset": reset}
    keep = randomise(build_layer("custom_gru", I, H, form | {"update_gate": "keep"}).double())
    admit = build_layer("custom_gru", I, H, form | {"update_gate": "admit"}).double()
    admit.load_state_dict(keep.state_dict())
    x, state = random(T, B, I), type(keep.initial_state(B))(random(B, H, seed=2))
    y_keep, y_same = keep(x, state)[0], admit(x, state)[0]
    for block in admit.gate_blocks():
        if block.gate == "update":
            block.tensor.neg_()
    assert_close(admit(x, state)[0], y_keep)
    assert (y_same - y_keep).abs().max() > 0.1
