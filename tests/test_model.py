"""The character model: its pipeline, its sizes, its seeds, and cells met at equal budgets."""

import itertools

import pytest
import torch

from charlab.cells import CELLS
from charlab.config.schema import (
    SCHEMAS,
    CustomGRUConfig,
    CustomLSTMConfig,
    CustomRNNConfig,
    LSTMConfig,
    MLSTMConfig,
    ModelConfig,
    RNNConfig,
)
from charlab.model import build_model, cell_options

V, E, H, T, B = 11, 6, 8, 5, 3


def config_of(cell, **options) -> ModelConfig:
    return SCHEMAS.get(f"model/{cell}", ModelConfig)(cell=cell, **options)


def make(cell="gru", seed=0, **options):
    sizes = {"hidden_size": H, "embedding_size": E}
    return build_model(config_of(cell, **sizes | options), V, seed).double()


def tokens(*shape, seed=0):
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(seed))


def assert_close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


def disturb(model):
    """Every parameter random, so that norms and biases show."""
    source = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5, generator=source)
    return model


# ------------------------------------------------------------------------------------ the pipeline
def layer_normed(y, norm):
    centred = y - y.mean(-1, keepdim=True)
    return (
        norm.weight * centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() + norm.bias
    )


@pytest.mark.parametrize("cell", ["lstm", "custom_gru"])
@pytest.mark.parametrize(
    ("num_layers", "layer_norm", "tied", "embedding_size"),
    [
        (1, False, False, E),
        (2, False, False, E),
        (2, True, False, E),
        (2, True, True, E),
        (1, False, True, H),
    ],
)
def test_logits_are_those_of_the_pipeline_put_together_by_hand(
    cell, num_layers, layer_norm, tied, embedding_size
):
    """Lookup, norm, layers in turn, norm, projection, head; a state a layer."""
    model = disturb(
        make(
            cell,
            num_layers=num_layers,
            layer_norm=layer_norm,
            tie_weights=tied,
            embedding_size=embedding_size,
            dropout=0.5,
        )
    ).eval()
    inputs = tokens(T, B)
    logits, state = model(inputs, model.initial_state(B))

    named = dict(model.named_parameters())
    embedding = named["embedding.weight"]
    y = embedding[inputs]
    assert len(state) == len(model.layers) == num_layers
    for layer, norm, after in zip(model.layers, model.norms, state):
        x = layer_normed(y, norm) if layer_norm else y
        y, expected = layer(x, layer.initial_state(B))
        assert_close(list(after), list(expected))
    y = layer_normed(y, model.norms[-1]) if layer_norm else y
    if tied and embedding_size != H:
        y = y @ named["projection.weight"].T
    head = embedding if tied else named["head.weight"]
    assert_close(logits, y @ head.T + named["head.bias"])
    assert len(list(model.norms.parameters())) == (2 * (num_layers + 1) if layer_norm else 0)


@pytest.mark.parametrize("embedding_size", [E, H])
def test_tied_weights_are_one_matrix_with_the_gradient_of_both_uses(embedding_size):
    model = disturb(make(tie_weights=True, embedding_size=embedding_size))
    assert model.head.weight is model.embedding.weight
    assert ("projection.weight" in dict(model.named_parameters())) == (embedding_size != H)

    loss_of = tokens(T, B, seed=1)

    def loss(lookup, head):
        """With the two uses as matrices apart."""
        y, _ = model.layers[0](lookup[inputs], model.layers[0].initial_state(B))
        logits = model.projection(y) @ head.T + model.head.bias
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), loss_of.flatten())

    inputs = tokens(T, B)
    apart = [model.embedding.weight.detach().clone().requires_grad_() for _ in range(2)]
    as_input, as_head = torch.autograd.grad(loss(*apart), apart)
    logits, _ = model(inputs, model.initial_state(B))
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), loss_of.flatten()).backward()
    assert as_input.abs().max() > 1e-4 and as_head.abs().max() > 1e-4
    assert_close(model.embedding.weight.grad, as_input + as_head)


@pytest.mark.parametrize("tied", [False, True])
def test_dropout_is_on_the_input_of_every_layer_and_of_the_logits(tied):
    """In training a half of each is 0 and the rest doubled; in evaluation nothing happens."""
    model = make(
        "gru", num_layers=3, dropout=0.5, tie_weights=tied, hidden_size=64, embedding_size=48
    )
    inputs = tokens(30, 20)
    seen = []
    places = [*model.layers, model.projection if tied else model.head]
    for place in places:
        place.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    applied = []
    model.dropout.register_forward_hook(lambda module, args, out: applied.append((args[0], out)))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.train()(inputs, model.initial_state(20))
    assert len(applied) == len(seen) == len(places) == 4
    for x, (before, _) in zip(seen, applied, strict=True):
        dropped = x == 0
        assert torch.equal(x[~dropped], 2 * before[~dropped])
        assert abs(dropped.double().mean() - 0.5) < 4 * 0.5 / x.numel() ** 0.5
        assert dropped.any(0).all() and not dropped.all(0).any()  # drawn anew at every step
    masks = [x == 0 for x in seen[1:]]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(masks, 2))

    seen.clear()
    applied.clear()
    first, _ = model.eval()(inputs, model.initial_state(20))
    second, _ = model(inputs, model.initial_state(20))
    assert torch.equal(first, second)
    assert all(x is before or torch.equal(x, before) for x, (before, _) in zip(seen, applied))


# ---------------------------------------------------------------------------------------- its seeds
@pytest.mark.parametrize("cell", CELLS)
def test_weights_are_a_function_of_the_seed(cell):
    options = {"layer_norm": True, "tie_weights": True, "num_layers": 2}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = make(cell, seed=5, **options).state_dict()
        torch.manual_seed(2)
        again = make(cell, seed=5, **options).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = make(cell, seed=6, **options).state_dict()
    # biases may be 0 and norms 1 under any seed
    drawn = [name for name in first if name.endswith("weight") and "norms" not in name]
    drawn += [name for name in first if "weight_" in name]
    assert len(drawn) >= 5
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


@pytest.mark.parametrize("match_params", [None, 5_000])
def test_building_a_model_leaves_the_global_generator_alone(match_params):
    before = torch.get_rng_state()
    make("custom_lstm", match_params=match_params, tie_weights=True)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("tied", [False, True])
def test_initialise_writes_every_parameter(tied):
    """Nothing of the model that was there before stays, whatever it was."""
    options = {"layer_norm": True, "tie_weights": tied, "num_layers": 2}
    fresh, used = make(**options), make(**options)
    with torch.no_grad():
        for parameter in used.parameters():
            parameter.fill_(torch.nan)
    for model in (fresh, used):
        model.initialise("orthogonal", 4)
    numbers = used.state_dict()
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(numbers[name], tensor), name


def test_embedding_and_head_have_the_scale_of_their_use():
    """Embedding N(0, 1), or deviation 1/sqrt(E) where the logits share it; head in +-1/sqrt(H)."""
    sizes = {"embedding_size": 64, "hidden_size": 100}
    free = build_model(config_of("gru", **sizes), 500, 0)
    tied = build_model(config_of("gru", tie_weights=True, **sizes), 500, 0)
    for model, deviation in ((free, 1.0), (tied, 1 / 8)):
        assert model.embedding.weight.std().item() == pytest.approx(deviation, rel=0.02)
        assert abs(model.embedding.weight.mean()) < 0.02 * deviation
        assert torch.all(model.head.bias == 0)
    for weight in (free.head.weight, tied.projection.weight):
        assert 0.0999 < weight.abs().max() <= 0.1
        assert weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.02)


# ------------------------------------------------------------------------------- its configuration
MODEL_SCHEMAS = [name for name in SCHEMAS if name.startswith("model/")]


@pytest.mark.parametrize("schema", MODEL_SCHEMAS)
def test_every_class_of_configuration_builds_its_model(schema):
    """With its defaults, through one step of training."""
    cell = "gru" if schema == "model/base" else schema.removeprefix("model/")
    model = build_model(SCHEMAS[schema](cell=cell), V, 0)
    logits, _ = model(tokens(T, B), model.initial_state(B))
    logits.square().mean().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters())


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (ModelConfig(cell="gru"), {}),
        (RNNConfig(cell="rnn", nonlinearity="relu"), {"nonlinearity": "relu"}),
        (LSTMConfig(cell="lstm", forget_bias=2.0), {"forget_bias": 2.0}),
        (CustomRNNConfig(cell="custom_rnn"), {"nonlinearity": "tanh", "bias": "both"}),
        (CustomLSTMConfig(cell="custom_lstm"), {"forget_bias": 1.0, "bias": "both"}),
        (MLSTMConfig(cell="mlstm"), {"forget_bias": 1.0, "bias": "input"}),
        (
            CustomGRUConfig(cell="custom_gru", bias="input"),
            {"bias": "input", "reset": "before", "update_gate": "admit"},
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ModelConfig) else "",
)
def test_options_of_a_cell_are_those_beyond_every_models(config, options):
    assert cell_options(config) == options
