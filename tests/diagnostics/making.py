"""Small models in float64 with any weights, and batches of rows of unequal lengths."""

import torch

from charlab.diagnostics.unroll import unroll
from charlab.engine import as_layer, build_layer
from charlab.model import CharModel
from charlab.types import IGNORE, Batch

T, B, E, H, V = 6, 4, 3, 5, 7
# targets of each row of `batch`
LENGTHS = (6, 1, 4, 6)


def randomised(model: CharModel, std: float = 0.6) -> CharModel:
    """In float64, with all its parameters drawn from N(0, std)."""
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.double().parameters():
            parameter.normal_(std=std, generator=source)
    return model


def char_model(layers, *, dropout=0.0, layer_norm=False, tie_weights=False) -> CharModel:
    return randomised(
        CharModel(layers, V, E, dropout=dropout, layer_norm=layer_norm, tie_weights=tie_weights)
    )


def model_of(cell, options, engine="auto", num_layers=2, **kind) -> CharModel:
    """Of a cell of charlab."""
    sizes = [E, *[H] * (num_layers - 1)]
    return char_model([build_layer(cell, size, H, options, engine) for size in sizes], **kind)


def model_of_class(cell, engine, num_layers=2) -> CharModel:
    """Of a cell of one's own."""
    torch.manual_seed(0)
    sizes = [E, *[H] * (num_layers - 1)]
    return char_model([as_layer(cell(size, H), engine) for size in sizes])


def batch(lengths=LENGTHS) -> Batch:
    source = torch.Generator().manual_seed(2)
    inputs_TB, targets_TB = torch.randint(0, V, (2, T, len(lengths)), generator=source)
    steps_T1 = torch.arange(T)[:, None]
    targets_TB[steps_T1 >= torch.tensor(lengths)] = IGNORE
    return Batch(inputs_TB, targets_TB, torch.ones(len(lengths), dtype=torch.bool))


def unrolled(model: CharModel, of: Batch):
    return unroll(model.eval(), of)
