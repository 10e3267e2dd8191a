"""Histograms of gradients and parameters while training, without touching the training."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from charlab.callbacks.clock import TrainClock
from charlab.lit import CharLitModule

NUM_BINS = 64

# (numbers in the bins, the edges of the bins)
Histogram = tuple[NDArray[np.int64], NDArray[np.float64]]
# takes the histograms of one step by name
HistogramSink = Callable[[Mapping[str, Histogram], int], None]


@final
class Histograms(Callback):
    """Each tensor's every so many steps: gradients/NAME before clipping, parameters/NAME after it.

    what  "gradients", "parameters" or "all"
    """

    def __init__(
        self, what: str, clock: TrainClock, sink: HistogramSink, *, every_n_steps: int
    ) -> None:
        self.what = what
        self.clock = clock
        self.sink = sink
        self.every_n_steps = every_n_steps
        self._found: dict[str, Histogram] = {}

    def on_before_optimizer_step(
        self, trainer: Trainer, module: LightningModule, optimizer: Optimizer
    ) -> None:
        if self.what == "parameters" or not self._is_due(trainer, trainer.global_step + 1):
            return
        self.clock.stop()
        for name, parameter in _parameters(module):
            if parameter.grad is not None:
                self._add(f"gradients/{name}", parameter.grad)
        self.clock.start()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self._is_due(trainer, trainer.global_step):
            return
        self.clock.stop()
        if self.what != "gradients":
            for name, parameter in _parameters(module):
                self._add(f"parameters/{name}", parameter)
        self.sink(self._found, trainer.global_step)
        self._found = {}

    def _is_due(self, trainer: Trainer, step: int) -> bool:
        return trainer.is_global_zero and step % self.every_n_steps == 0

    def _add(self, name: str, tensor: Tensor) -> None:
        self._found[name] = histogram(tensor)


def histogram(tensor: Tensor) -> Histogram:
    """Of its finite numbers, in NUM_BINS equal bins from the least of them to the greatest."""
    numbers = tensor.detach().double().cpu().numpy()
    return np.histogram(numbers[np.isfinite(numbers)], bins=NUM_BINS)


def _parameters(module: LightningModule) -> Iterator[tuple[str, Tensor]]:
    assert isinstance(module, CharLitModule)
    return module.model.named_parameters()
