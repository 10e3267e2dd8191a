"""What every row of the conformance table (`table.py`) has to fulfil, under every engine.

A cell that is not in the table fails `test_the_table_is_complete`.
"""

import dataclasses
import importlib
import itertools
import pkgutil

import numpy as np
import pytest
import torch
from torch import nn

import charlab.cells
from charlab.cells import CELLS
from charlab.cells.base import Cell, GateLinear, Recurrent
from charlab.config.schema import SCHEMAS, ModelConfig
from charlab.engine import build_layer
from charlab.engine.reference import CellLayer
from charlab.model import CharModel

from . import numpy_cells
from .table import (
    CASES,
    ONE_FORM_QUICK,
    ROWS,
    B,
    H,
    I,
    T,
    V,
    build,
    case_id,
    generator,
    random,
    row_id,
)

every_row = pytest.mark.parametrize("row", ROWS, ids=row_id)
every_case = pytest.mark.parametrize(("row", "engine"), CASES, ids=case_id)
one_form_quick = pytest.mark.parametrize(("row", "engine"), ONE_FORM_QUICK, ids=case_id)


def random_state(layer, batch_size, *, grad=False):
    zeros = layer.initial_state(batch_size)
    parts = [0.5 * random(*part.shape, seed=10 + k) for k, part in enumerate(zeros)]
    return type(zeros)(*(part.requires_grad_(grad) for part in parts))


def weights_of(layer):
    """As `numpy_cells` takes them."""
    weights = {(block.role, block.gate): block.tensor for block in layer.gate_blocks()}
    if isinstance(layer, CellLayer):
        own = layer.cell.named_parameters(recurse=False)
        weights |= {("own", name): parameter.detach() for name, parameter in own}
    return {key: tensor.numpy() for key, tensor in weights.items()}


def assert_close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


# ------------------------------------------------------------------------------------- the table
def charlab_classes(base: type) -> set[type]:
    """All classes of charlab below a class. Tests may define cells of their own."""
    found = set()
    for child in base.__subclasses__():
        found |= {child} if child.__module__.startswith("charlab.") else set()
        found |= charlab_classes(child)
    return found


def test_the_table_is_complete():
    for module in pkgutil.walk_packages(charlab.cells.__path__, "charlab.cells."):
        importlib.import_module(module.name)
    assert {row.cell for row in ROWS} == set(CELLS)

    final = {cls for cls in charlab_classes(Recurrent) if "__final__" in vars(cls)}
    covered = {
        type(module) for row, engine in CASES for module in build(row, engine=engine).modules()
    }
    assert final - covered == set(), "these layers and cells are in no row of the table"
    leaves = {cls for cls in charlab_classes(Recurrent) if not cls.__subclasses__()}
    assert leaves == final, "a class is abstract or final"
    assert any(issubclass(cls, Cell) for cls in final)


@pytest.mark.parametrize("cell", CELLS)
def test_the_table_has_every_choice_of_every_option(cell):
    """Every combination of the values that the schema allows."""
    own = dataclasses.fields(SCHEMAS.get(f"model/{cell}", ModelConfig))
    common = {field.name for field in dataclasses.fields(ModelConfig)}
    choices = {
        field.name: field.metadata["choices"]
        for field in own
        if field.name not in common and "choices" in field.metadata
    }
    wanted = {frozenset(zip(choices, values)) for values in itertools.product(*choices.values())}
    listed = {
        frozenset((name, value) for name, value in row.options.items() if name in choices)
        for row in ROWS
        if row.cell == cell
    }
    assert listed == wanted


# --------------------------------------------------------------------- against its own definition
@every_case
def test_equals_the_published_equations(row, engine):
    """From zeros and from any other state, with weights handed over by the name of their gate."""
    layer, x = build(row, engine=engine), random(T, B, I)
    weights = weights_of(layer)
    for state in (layer.initial_state(B), random_state(layer, B)):
        y, after = layer(x, state)
        y_numpy, after_numpy = numpy_cells.run(
            row.step, weights, x.numpy(), [part.numpy() for part in state]
        )
        assert_close(y.detach(), torch.from_numpy(y_numpy))
        assert_close([part.detach() for part in after], list(map(torch.from_numpy, after_numpy)))
    assert all(np.all(part.numpy() == 0) for part in layer.initial_state(B))


@one_form_quick
def test_gradients_are_those_of_finite_differences(row, engine):
    """With respect to the input, the first state and every parameter."""
    layer = build(row, 2, 3, engine=engine)
    state = random_state(layer, 2, grad=True)
    num_parts = len(state)

    def outputs(x, *others):
        # the parameters among `others` are the layer's own tensors, which gradcheck moves in place
        y, after = layer(x, type(state)(*others[:num_parts]))
        return y, *after

    x = random(3, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(outputs, (x, *state, *layer.parameters()))


@one_form_quick
def test_float32_is_near_float64(row, engine):
    """Values and all gradients, over two chunks, with a row that is forgotten between them.

    Against float64 autograd of the loop over steps, which is torch's own for torch's own layers.
    """
    exact = build(row, 7, 19, engine="auto" if engine == "auto" else "reference")
    layer = build(row, 7, 19, engine=engine).float()
    num_rows, weights = 5, random(9, 5, 19, seed=3)
    with torch.no_grad():
        for one, other in zip(layer.parameters(), exact.parameters(), strict=True):
            one *= 0.3  # smaller than those of `build`, with which small errors grow with time
            other.copy_(one)

    def run(layer, dtype):
        x = random(9, num_rows, 7).float().to(dtype).requires_grad_()
        first = state = type(zeros := layer.initial_state(num_rows))(
            *(random(*part.shape, seed=10).float().to(dtype).requires_grad_() for part in zeros)
        )
        forgotten = torch.tensor([False, True, False, False, True])[:, None]
        y_1, state = layer(x[:4], state)
        state = type(state)(*(torch.where(forgotten, 0.0, part) for part in state))
        y_2, state = layer(x[4:], state)
        y = torch.cat([y_1, y_2])
        loss = (weights.to(dtype) * y).sum() + sum(part.square().sum() for part in state)
        return y, *state, *torch.autograd.grad(loss, (x, *first, *layer.parameters()))

    expected = run(exact, torch.float64)
    for got, right in zip(run(layer, torch.float32), expected, strict=True):
        assert got.dtype == torch.float32
        assert (got.double() - right).norm() <= 1e-5 * right.norm()


@every_row
def test_has_the_number_of_parameters_of_its_formula(row):
    for i, h in ((4, 5), (5, 4), (1, 7)):
        layer = build_layer(row.cell, i, h, row.options)
        assert sum(parameter.numel() for parameter in layer.parameters()) == row.num_params(i, h)


@every_row
def test_gate_blocks_hold_every_number_of_the_products_once(row):
    layer = build(row)
    roles = []
    next_value = 0
    products = [part for part in layer.modules() if isinstance(part, GateLinear | nn.RNNBase)]
    parameters = [parameter for product in products for parameter in product.parameters()]
    with torch.no_grad():
        for parameter in parameters:
            parameter.fill_(torch.nan)
    for role, gate, tensor in layer.gate_blocks():
        shape = {"input": (H, I), "recurrent": (H, H)}.get(role, (H,))
        assert tensor.shape == shape, (role, gate)
        tensor.copy_(torch.arange(next_value, next_value + tensor.numel()).view(shape))
        next_value += tensor.numel()
        roles.append((role, gate))
    written = torch.cat([parameter.detach().flatten() for parameter in parameters])
    assert_close(written.sort().values, torch.arange(float(len(written)), dtype=torch.float64))

    order = ("input", "recurrent", "input_bias", "recurrent_bias")
    assert roles == [both for both in itertools.product(order, layer.gates) if both in roles]
    assert {gate for role, gate in roles if role == "input"} == set(layer.gates)


# --------------------------------------------------------------------------- the contract of layers
@every_case
def test_one_step_at_a_time_equals_the_whole(row, engine):
    layer, x = build(row, engine=engine), random(T, B, I)
    y, after = layer(x, random_state(layer, B))
    state, steps = random_state(layer, B), []
    for t in range(T):
        y_t, state = layer(x[t : t + 1], state)
        assert torch.equal(y_t[0], state[0]), "the first tensor of a state is the output"
        steps.append(y_t)
    assert type(state) is type(after)
    assert_close(torch.cat(steps), y)
    assert_close(list(state), list(after))


@one_form_quick
def test_two_chunks_equal_their_join(row, engine):
    """Values, final states, and gradients through a carried state that is not detached."""
    layer = build(row, engine=engine)
    weight_y, weight_state = random(T, B, H, seed=3), random(B, H, seed=4)

    def run(*cuts):
        x = random(T, B, I).requires_grad_()
        first = state = random_state(layer, B, grad=True)
        outputs = []
        for chunk in x.tensor_split(cuts):
            y, state = layer(chunk, state)
            outputs.append(y)
        y = torch.cat(outputs)
        loss = (weight_y * y).sum() + sum((weight_state * part).sum() for part in state)
        return y, *state, *torch.autograd.grad(loss, (x, *first, *layer.parameters()))

    whole = run()
    for cut in (1, 4):
        assert_close(run(cut), whole)


@one_form_quick
def test_a_forgotten_row_starts_anew(row, engine):
    """And the rows beside it go on bit for bit, in a stack of two layers."""
    layers = [build(row, I, H, engine=engine), build(row, H, H, engine=engine)]
    torch.manual_seed(1)  # of the embedding: under some, no relu of the reset row is on
    model = CharModel(layers, V, I, dropout=0.0, layer_norm=False, tie_weights=False).double()
    tokens = torch.randint(V, (T, B), generator=generator(5))
    states = tuple(random_state(layer, B) for layer in layers)
    _, carried = model(tokens[:3], states)
    kept, kept_state = model(tokens[3:], carried)
    reset = torch.tensor([False, True, False])
    y, after = model(tokens[3:], model.forget(carried, reset))
    fresh, fresh_state = model(tokens[3:, 1:2], model.initial_state(1))

    assert torch.equal(y[:, ~reset], kept[:, ~reset])
    assert_close(y[:, reset], fresh)
    assert (y[0, reset] != kept[0, reset]).any()
    for got, old, new in zip(after, kept_state, fresh_state, strict=True):
        assert type(got) is type(old)
        assert all(torch.equal(g[~reset], o[~reset]) for g, o in zip(got, old, strict=True))
        assert_close([part[reset] for part in got], list(new))


@one_form_quick
def test_order_of_the_rows_does_not_matter(row, engine):
    layer, x, state = (made := build(row, engine=engine)), random(T, B, I), random_state(made, B)
    order = torch.tensor([2, 0, 1])
    y, after = layer(x, state)
    y_moved, after_moved = layer(x[:, order], type(state)(*(part[order] for part in state)))
    assert_close(y_moved, y[:, order])
    assert_close(list(after_moved), [part[order] for part in after])


@one_form_quick
def test_rows_know_nothing_of_each_other(row, engine):
    """Another input and another state in one row change that row alone."""
    layer, x, state = (made := build(row, engine=engine)), random(T, B, I), random_state(made, B)
    y, after = layer(x, state)
    others = torch.tensor([True, False, True])
    x_other, state_other = x.clone(), type(state)(*(part.clone() for part in state))
    x_other[:, 1] += 1
    for part in state_other:
        part[1] -= 1
    y_other, after_other = layer(x_other, state_other)
    assert torch.equal(y_other[:, others], y[:, others])
    assert (y_other[:, 1] != y[:, 1]).any(-1).all()
    for new, old in zip(after_other, after, strict=True):
        assert torch.equal(new[others], old[others])
        assert not torch.equal(new[1], old[1])


@one_form_quick
def test_the_future_does_not_reach_the_past(row, engine):
    """A change of x at t leaves what is before t bit for bit, and reaches every step from t on."""
    # so many units that no row has all relus off
    layer, x = build(row, hidden_size=32, engine=engine), random(T, B, I)
    state = random_state(layer, B)
    y, _ = layer(x, state)
    for t in range(T):
        changed = x.clone()
        changed[t] += 1
        y_changed, _ = layer(changed, state)
        assert torch.equal(y_changed[:t], y[:t])
        assert (y_changed[t:] != y[t:]).any(-1).all()


@every_row
def test_the_state_lives_where_the_parameters_do(row):
    layer = build_layer(row.cell, I, H, row.options)
    for dtype, device in (
        (torch.float32, "cpu"),
        (torch.float64, "cpu"),
        (torch.float64, "meta"),
    ):
        for part in layer.to(device, dtype).initial_state(B):
            assert (part.dtype, part.device.type, part.shape) == (dtype, device, (B, H))
