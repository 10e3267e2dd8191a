"""A layer under an engine beside the loop over steps, whose results it has to have."""

import pytest
import torch

from ..cells.table import ENGINES, ROWS, B, I, T, build, random

FAST = [engine for engine in ENGINES if engine != "reference"]
every_engine = pytest.mark.parametrize("engine", FAST)
GRU = next(row for row in ROWS if row.cell == "custom_gru" and row.options["bias"] == "both")
LSTM = next(row for row in ROWS if row.cell == "custom_lstm")


def pair(row, engine):
    """A layer and the loop over steps, with weights of their own that are equal."""
    return build(row, engine=engine), build(row, engine="reference")


def random_state(layer, batch_size=B, *, grad=False):
    zeros = layer.initial_state(batch_size)
    parts = (random(*part.shape, seed=20 + k).to(part) for k, part in enumerate(zeros))
    return type(zeros)(*(part.requires_grad_(grad) for part in parts))


def gradients(layer, x, state):
    """Of the outputs and the last state, in all that has one; with the values."""
    layer.zero_grad()
    leaves = [tensor for tensor in (x, *state, *layer.parameters()) if tensor.requires_grad]
    y, after = layer(x, state)
    loss = y.square().sum() + sum(part.sin().sum() for part in after)
    return [y.detach(), *(part.detach() for part in after), *torch.autograd.grad(loss, leaves)]


def assert_same(layer, reference, x=None, state=None, atol=1e-12):
    x = random(T, B, I).to(next(layer.parameters())) if x is None else x
    state = random_state(layer, x.shape[1], grad=True) if state is None else state
    got, right = (gradients(one, x, state) for one in (layer, reference))
    torch.testing.assert_close(got, right, rtol=0, atol=atol)
