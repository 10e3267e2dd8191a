"""What each named initialiser writes, gate by gate, and that twin cells get the same numbers."""

import math

import pytest
import torch

from charlab.cells.initialisers import INITIALISERS, initialise
from charlab.config.schema import INITIALISERS as NAMES
from charlab.engine import build_layer
from charlab.model import CharModel

from .table import ROWS, generator, row_id

I, H, V = 96, 64, 11  # noqa: E741
BIASES = ("input_bias", "recurrent_bias")
every_name = pytest.mark.parametrize("name", NAMES)
LAYERS = {
    "gru": {},
    "lstm": {"forget_bias": 1.0},
    "rnn": {"nonlinearity": "tanh"},
    "custom_gru": {"bias": "both", "reset": "after", "update_gate": "keep"},
    "custom_lstm": {"forget_bias": 1.0, "bias": "both"},
    "mlstm": {"forget_bias": 1.0, "bias": "both"},
    "custom_rnn": {"nonlinearity": "tanh", "bias": "both"},
}


def fill(layer, value):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(value)


def initialised(cell, options, name, seed=0):
    layer = build_layer(cell, I, H, options).double()
    fill(layer, torch.nan)
    initialise(layer, name, generator(seed))
    assert not any(parameter.isnan().any() for parameter in layer.parameters())
    return layer


def uniform_bound(name, role):
    """Limit of the uniform distribution of a block, 0 for zeros, None for an orthogonal one."""
    glorot = math.sqrt(6 / (H + (I if role == "input" else H)))
    is_bias = role in BIASES
    return {
        "torch": 1 / math.sqrt(H),
        "uniform": 0.0 if is_bias else 0.1,
        "xavier": 0.0 if is_bias else glorot,
        "orthogonal": 0.0 if is_bias else None if role == "recurrent" else glorot,
    }[name]


def test_every_name_of_the_schema_is_an_initialiser():
    assert set(INITIALISERS) == set(NAMES)


@every_name
@pytest.mark.parametrize("cell", LAYERS)
def test_writes_the_distribution_of_its_name_into_every_block(name, cell):
    """Limits, mean and variance of each gate's block; no two blocks alike."""
    layer = initialised(cell, LAYERS[cell], name)
    seen = []
    for role, gate, tensor in layer.gate_blocks():
        if gate in layer.gate_biases and role in BIASES:
            continue  # test_forget_bias_is_the_sum_of_both
        bound = uniform_bound(name, role)
        where = f"{role} of {gate}"
        if bound is None:
            torch.testing.assert_close(
                tensor.T @ tensor, torch.eye(H, dtype=torch.float64), msg=lambda m, w=where: w + m
            )
        elif bound == 0:
            assert torch.all(tensor == 0), where
        else:
            # of n numbers from U(+-a): the largest is a (1 - 1/n) or so, the mean spreads by
            # a / sqrt(3 n), the mean of squares around a^2/3 by 2 a^2 / sqrt(45 n)
            n = tensor.numel()
            assert bound * (1 - 8 / n) < tensor.abs().max() <= bound, where
            assert abs(tensor.mean()) < 4.5 * bound / math.sqrt(3 * n), where
            error = tensor.square().mean() - bound**2 / 3
            assert abs(error) < 4.5 * 2 * bound**2 / math.sqrt(45 * n), where
        if bound != 0:
            assert not any(torch.equal(tensor, other) for other in seen), where
            seen.append(tensor)


@every_name
@pytest.mark.parametrize("forget_bias", [0.0, 1.0, -2.5])
@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ("lstm", {}),
        ("custom_lstm", {"bias": "both"}),
        ("custom_lstm", {"bias": "input"}),
        ("mlstm", {"bias": "both"}),
    ],
)
def test_forget_bias_is_the_sum_of_both(name, forget_bias, cell, options):
    """Input and recurrent bias of that gate add up to the value asked for; others are left."""
    layer = initialised(cell, {"forget_bias": forget_bias} | options, name)
    sums = dict.fromkeys(layer.gates, 0.0)
    for role, gate, tensor in layer.gate_blocks():
        if role in BIASES:
            sums[gate] = sums[gate] + tensor
    assert torch.equal(sums.pop("forget"), torch.full((H,), forget_bias, dtype=torch.float64))
    for total in sums.values():
        assert torch.all(total == 0) if name != "torch" else torch.all(total != forget_bias)


def model_of(cell, options, *, num_layers=2):
    sizes = [I] + [H] * (num_layers - 1)
    layers = [build_layer(cell, size, H, options) for size in sizes]
    return CharModel(layers, V, I, dropout=0.0, layer_norm=False, tie_weights=False)


@every_name
@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_twins_start_from_identical_numbers(name, cell):
    """torch's cell and the one on the engine, through the whole model and under one seed."""
    builtin = model_of(cell, LAYERS[cell])
    custom = model_of(f"custom_{cell}", LAYERS[f"custom_{cell}"])
    for model in (builtin, custom):
        fill(model, torch.nan)
        model.initialise(name, seed=3)
    for one, other in zip(builtin.layers, custom.layers, strict=True):
        blocks = list(zip(one.gate_blocks(), other.gate_blocks(), strict=True))
        assert len(blocks) == 4 * len(one.gates)
        for a, b in blocks:
            assert (a.role, a.gate) == (b.role, b.gate)
            assert torch.equal(a.tensor, b.tensor)
    assert torch.equal(builtin.embedding.weight, custom.embedding.weight)
    assert torch.equal(builtin.head.weight, custom.head.weight)

    tokens = torch.randint(V, (12, 4), generator=generator())
    logits = [model(tokens, model.initial_state(4))[0] for model in (builtin, custom)]
    torch.testing.assert_close(*logits, rtol=0, atol=1e-5)


@every_name
def test_layers_of_a_stack_start_from_different_numbers(name):
    model = model_of("gru", {}, num_layers=3)
    model.initialise(name, seed=0)
    second, third = (list(layer.gate_blocks()) for layer in model.layers[1:])
    for a, b in zip(second, third, strict=True):
        assert torch.all(a.tensor == 0) or not torch.equal(a.tensor, b.tensor)


@every_name
@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_draws_from_its_generator_alone(name, row):
    """The global generator is neither used nor moved; the seed decides every number."""
    layer = build_layer(row.cell, 4, 5, row.options)

    def numbers(seed, global_seed):
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        initialise(layer, name, generator(seed))
        assert torch.equal(torch.get_rng_state(), before)
        return torch.cat([parameter.detach().flatten() for parameter in layer.parameters()])

    with torch.random.fork_rng():
        first = numbers(0, global_seed=1)
        assert torch.equal(numbers(0, global_seed=2), first)
        assert not torch.equal(numbers(1, global_seed=1), first)
