"""A model run one step at a time, with every state between two steps kept."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from charlab.model import CharModel
from charlab.types import IGNORE, Batch, LayerState, ModelState


@final
@dataclass(frozen=True)
class Unrolled:
    """A batch of T steps from the initial state on.

    states     s_0 ... s_T, each of all layers. The loss depends on s_t through the steps after t
               alone, and on s_t of the last layer through the prediction of step t: what is carried
               is the only way from one step to the next, as in torch.autograd.grad(nats, s_t)
    inputs     x_TBI of each layer, without a graph
    nats_TB    of each target; 0 where there is none
    is_real_TB where there is a target
    """

    states: tuple[ModelState, ...]
    inputs: tuple[Tensor, ...]
    nats_TB: Tensor
    is_real_TB: Tensor


def unroll(model: CharModel, batch: Batch) -> Unrolled:
    """The model in the mode that it is in, with a graph where gradients are enabled."""
    num_steps, num_rows = batch.inputs_TB.shape
    state = tuple(map(_differentiable, model.initial_state(num_rows)))
    states, inputs = [state], []
    x_TBE = model.embedding(batch.inputs_TB)
    for step in range(num_steps):
        y_1BH, after, given = x_TBE[step : step + 1], [], []
        for number, (layer, before) in enumerate(zip(model.layers, state, strict=True)):
            given.append(model.prepared(y_1BH, number))
            # copied twice: a layer's output may be its state, and a cell may write over its own
            y_1BH, made = layer(given[-1], copied(before))
            after.append(copied(made))
        state = tuple(after)
        states.append(state)
        inputs.append([x_1BI.detach() for x_1BI in given])
    h_TBH = torch.stack([state[-1][0] for state in states[1:]])
    logits_TBV = model.logits(model.prepared(h_TBH, len(state)))
    nats = functional.cross_entropy(
        logits_TBV.flatten(0, 1),
        batch.targets_TB.flatten(),
        ignore_index=IGNORE,
        reduction="none",
    )
    return Unrolled(
        states=tuple(states),
        inputs=tuple(torch.cat(steps) for steps in zip(*inputs, strict=True)),
        nats_TB=nats.view(num_steps, num_rows),
        is_real_TB=batch.targets_TB != IGNORE,
    )


def copied(state: LayerState) -> LayerState:
    """The same numbers as new nodes of the graph."""
    return type(state)(*(part.clone() for part in state))


def _differentiable(state: LayerState) -> LayerState:
    # a part that a cell only hands on needs a graph, too
    return type(state)(*(part.detach().clone().requires_grad_() for part in state))
