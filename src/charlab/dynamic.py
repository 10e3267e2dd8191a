"""Dynamic evaluation: a model that goes on learning from the text it is scored on.

Krause, Kahembwe, Murray & Renals 2018, "Dynamic Evaluation of Neural Sequence Models", the RMS rule
with decay towards the trained weights. The text is read in one lane, segment by segment. The
segment s_i is scored with the weights theta_{i-1}; only then do they learn from it:

    g         = gradient at theta_{i-1} of the mean nats a target of s_i, the state before it fixed
    theta_i   = theta_{i-1} - lr g / (RMS + eps) + rate * (theta_trained - theta_{i-1})
    rate      = min(1, decay RMS / avg(RMS))

elementwise, with RMS = sqrt(mean of g^2 over segments of train) at the trained weights and avg its
mean over all weights (the authors' program averages over the means of the tensors instead). The
minimum is their clipping of RMS / avg(RMS) at 1 / decay: no pull overshoots its target.

Such a score is another quantity than a static one and is reported apart from it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import final

import torch
from torch import Tensor, nn

from charlab.evaluation import batch_nats
from charlab.metrics import LossSums, num_documents
from charlab.model import CharModel
from charlab.types import Batch, ModelState


@final
@dataclass(frozen=True)
class DynamicSettings:
    """Defaults are tuned on validation for a GRU of 128 units and the first 4 MB of enwik8.

    Another model may want others: choose them on validation, never on test.

    lr      size of a step, in units of a weight, where a gradient is as large as on train
    decay   part of the way back to the trained weights at each step, for a weight of average RMS
    eps     added to RMS, so that a weight that train hardly moves takes no huge steps
    window  steps of a segment: the batches have to be of this length
    """

    lr: float = 5e-4
    decay: float = 3e-4
    eps: float = 1e-3
    window: int = 20


@final
@dataclass(frozen=True)
class GradientStatistics:
    """rms: for each of `model.parameters()` the root of the mean squared gradient, [its shape]."""

    rms: tuple[Tensor, ...]

    def rates(self, decay: float) -> list[Tensor]:
        """Part of the way back to the trained weights at each step, at most all of it."""
        average = sum(rms.sum() for rms in self.rms) / sum(rms.numel() for rms in self.rms)
        return [(decay * rms / average).clamp(max=1.0) for rms in self.rms]


def gradient_statistics(
    model: CharModel, batches: Iterable[Batch], num_batches: int
) -> GradientStatistics:
    """The statistics of the first num_batches batches of train, or of all where they are fewer.

    The batches are to be such as will be scored: of one row and of the same length, for the mean of
    more targets has smaller gradients. The model is used in the mode it is in.
    """
    parameters = tuple(model.parameters())
    squares = tuple(torch.zeros_like(parameter) for parameter in parameters)
    number = 0
    state: ModelState | None = None
    with _differentiable(model):
        for batch in islice(batches, num_batches):
            number += 1
            gradients, _, _, state = _learn(model, parameters, batch, state)
            for square, gradient in zip(squares, gradients, strict=True):
                square.addcmul_(gradient, gradient)
    assert number > 0
    return GradientStatistics(tuple((square / number).sqrt() for square in squares))


def dynamic_evaluate(
    model: CharModel,
    batches: Iterable[Batch],
    statistics: GradientStatistics,
    settings: DynamicSettings,
) -> Tensor:
    """[nats, targets, documents] of one pass, each target scored before it is learned from.

    The batches have one row: what several rows learn side by side would be another method. The
    weights are afterwards what they were, bit for bit, also where the pass ends in an error. The
    model is used in the mode it is in.
    """
    parameters = tuple(model.parameters())
    steps = [settings.lr / (rms + settings.eps) for rms in statistics.rms]
    rates = statistics.rates(settings.decay)
    sums = LossSums()
    state: ModelState | None = None
    with _differentiable(model), _restored(parameters) as trained:
        for batch in batches:
            gradients, nats, num_targets, state = _learn(model, parameters, batch, state)
            sums.add(nats, num_targets, num_documents(batch))
            with torch.no_grad():
                for weight, home, gradient, step, rate in zip(
                    parameters, trained, gradients, steps, rates, strict=True
                ):
                    weight.add_(rate * (home - weight) - step * gradient)
    return sums.tensor()


def _learn(
    model: CharModel, parameters: tuple[nn.Parameter, ...], batch: Batch, state: ModelState | None
) -> tuple[tuple[Tensor, ...], Tensor, Tensor, ModelState]:
    """(gradients of the mean nats a target, sum of nats, number of targets, state afterwards)."""
    assert len(batch.reset_B) == 1
    nats, num_targets, state = batch_nats(model, batch, state)
    # a segment may have nothing to predict
    gradients = torch.autograd.grad(nats / num_targets.clamp(min=1), parameters)
    return gradients, nats.detach(), num_targets, state


@contextmanager
def _differentiable(model: CharModel) -> Iterator[None]:
    """Gradients are recorded, whatever the mode of the model.

    cuDNN refuses the backward pass of a recurrent module in eval mode; those of a model have no
    dropout of their own, so that their mode changes nothing else.
    """
    modes = [(rnn, rnn.training) for rnn in model.modules() if isinstance(rnn, nn.RNNBase)]
    try:
        for rnn, _ in modes:
            rnn.train()
        with torch.enable_grad():
            yield
    finally:
        for rnn, mode in modes:
            rnn.train(mode)


@contextmanager
def _restored(parameters: tuple[nn.Parameter, ...]) -> Iterator[list[Tensor]]:
    """Gives a copy of the weights, and puts it back in the end."""
    copies = [parameter.detach().clone() for parameter in parameters]
    try:
        yield copies
    finally:
        with torch.no_grad():
            for parameter, copy in zip(parameters, copies, strict=True):
                parameter.copy_(copy)
