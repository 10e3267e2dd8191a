"""The sizes of a model, and cells that meet at an equal number of parameters."""

import inspect

import pytest
import torch

from charlab.cells import CELLS
from charlab.config.schema import SCHEMAS, ModelConfig
from charlab.errors import UsageError
from charlab.model import build_model, cell_options, count_params, planned_params

from .cells.table import ROWS
from .engine.odd_cells import Own

V, E, H = 11, 6, 8


def config_of(cell, **options) -> ModelConfig:
    return SCHEMAS.get(f"model/{cell}", ModelConfig)(cell=cell, **options)


def row_of(cell):
    """The cell with its default options in the conformance table, which has its formulas."""
    options = cell_options(config_of(cell))
    (row,) = (row for row in ROWS if (row.cell, row.options) == (cell, options))
    return row


def make(cell="gru", seed=0, **options):
    sizes = {"hidden_size": H, "embedding_size": E}
    return build_model(config_of(cell, **sizes | options), V, seed)


def num_params(cell, h, *, e=E, v=V, layers=1, norm=False, tied=False):
    """The number of parameters, added up from the sizes."""
    recurrent = sum(row_of(cell).num_params(i, h) for i in [e] + [h] * (layers - 1))
    head = v + ((0 if e == h else e * h) if tied else v * h)
    return v * e + recurrent + head + (2 * (e + layers * h) if norm else 0)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    ("layers", "norm", "tied", "e"),
    [(1, False, False, E), (3, True, False, E), (2, True, True, E), (1, False, True, H)],
)
def test_sizes_are_those_of_the_formulas(cell, layers, norm, tied, e):
    model = make(cell, num_layers=layers, layer_norm=norm, tie_weights=tied, embedding_size=e)
    _products, _input, *state = inspect.signature(row_of(cell).step).parameters.values()
    num_parts = sum(part.kind is part.POSITIONAL_OR_KEYWORD for part in state)
    expected = {
        "num_params": num_params(cell, H, e=e, layers=layers, norm=norm, tied=tied),
        "state_size": layers * H * num_parts,
        "hidden_size": H,
        "num_layers": layers,
        "engine": None,
    }
    assert model.record == expected
    assert (model.num_params, model.state_size) == (expected["num_params"], expected["state_size"])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("layers", "norm"), [(1, False), (2, True)])
def test_match_params_finds_the_nearest_hidden_size(cell, layers, norm):
    """No other size is nearer, by a count that is not the model's own."""
    sizes = {"layers": layers, "norm": norm}
    counts = {h: num_params(cell, h, **sizes) for h in range(1, 200)}
    for target in (counts[1], counts[2] - 1, 12_345.6, counts[50], counts[51] - 1):
        model = make(cell, match_params=target, num_layers=layers, layer_norm=norm)
        nearest = min(abs(count - round(target)) for count in counts.values())
        assert model.num_params == counts[model.layers[0].hidden_size]
        assert abs(model.num_params - round(target)) == nearest, target


@pytest.mark.parametrize("cell", CELLS)
def test_match_params_finds_the_nearest_hidden_size_with_tied_weights(cell):
    """The projection goes where hidden_size = embedding_size, so the count falls there."""
    counts = {h: num_params(cell, h, e=32, tied=True) for h in range(1, 100)}
    for target in (counts[32], counts[31], counts[32] + 10, counts[20], counts[60]):
        model = make(cell, match_params=target, tie_weights=True, embedding_size=32)
        nearest = min(abs(count - target) for count in counts.values())
        assert abs(model.num_params - target) == nearest, target


def test_match_params_below_one_hidden_unit_says_what_is_possible():
    smallest = num_params("custom_gru", 1, e=32, v=V, layers=2)
    config = config_of("custom_gru", embedding_size=32, num_layers=2, match_params=smallest - 1)
    with pytest.raises(UsageError) as caught:
        build_model(config, V, 0)
    assert caught.value.option == "model.match_params"
    assert str(caught.value).splitlines() == [
        f"model.match_params={smallest - 1} cannot be met",
        f"  expected  at least {smallest}: what one hidden unit already takes with "
        "embedding_size=32 and 11 symbols",
        f"  got       {smallest - 1}",
        "  try       a larger number, or a smaller model.embedding_size",
    ]
    config.match_params = smallest
    assert build_model(config, V, 0).num_params == smallest


@pytest.mark.parametrize(("layers", "norm", "tied"), [(3, False, False), (7, True, True)])
def test_many_layers_are_counted_without_making_them(layers, norm, tied):
    options = {"num_layers": layers, "layer_norm": norm, "tie_weights": tied}
    config = config_of("custom_lstm", hidden_size=H, embedding_size=E, **options)
    expected = num_params("custom_lstm", H, layers=layers, norm=norm, tied=tied)
    assert planned_params(config, V) == expected == build_model(config, V, 0).num_params


def test_the_largest_model_that_can_be_asked_for_is_counted():
    """The recurrent product of a layer has a million rows and columns, its input one the same."""
    size = 10**6
    config = config_of("rnn", hidden_size=size, embedding_size=size, num_layers=100)
    assert planned_params(config, V) == num_params("rnn", size, e=size, layers=100) > 10**14


class Reading(Own):
    """Its constructor reads a number that it has computed."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.scale = float(torch.linspace(0, 1, hidden_size).sum())


def test_a_cell_that_cannot_be_counted_can_be_made(monkeypatch):
    monkeypatch.setitem(CELLS, "reading", (__name__, "Reading"))
    config = config_of("reading", hidden_size=H, embedding_size=E)
    assert planned_params(config, V) is None
    assert build_model(config, V, 0).num_params > 0
    with pytest.raises(UsageError, match="cannot be counted before it is made"):
        count_params(config, V, H)
