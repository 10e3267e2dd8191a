"""All measurements of a model at once, without leaving a trace in it."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, final

import torch

from charlab.diagnostics.gates import Saturation, gate_saturation, saturated_part
from charlab.diagnostics.memory import bits_by_position, grad_norm_by_lag, memory_steps
from charlab.diagnostics.unroll import unroll
from charlab.model import CharModel
from charlab.types import Batch


@final
@dataclass(frozen=True)
class Diagnostics:
    """What `charlab.diagnostics.memory` and `gates` say of a model.

    grad_norm  by lag: 0, 1, ... steps before the prediction
    bits       by position: 1, 2, ... steps after a reset
    gates      by "LAYER GATE"
    """

    grad_norm: list[float]
    bits: list[float]
    gates: Mapping[str, Saturation]

    @property
    def row(self) -> dict[str, Any]:
        """Plain entries for diagnostics.jsonl."""
        return {
            "lag": list(range(len(self.grad_norm))),
            "grad_norm": self.grad_norm,
            "position": list(range(1, len(self.bits) + 1)),
            "bits": self.bits,
            "gates": {name: gate._asdict() for name, gate in self.gates.items()},
            "memory_steps": memory_steps(self.grad_norm),
        }

    @property
    def metrics(self) -> dict[str, float]:
        return {
            "diagnostics/memory_steps": memory_steps(self.grad_norm),
            "diagnostics/saturated": saturated_part(self.gates),
        }


def measure(model: CharModel, batch: Batch) -> Diagnostics:
    """Of the model as it predicts, without dropout, in the precision of its parameters.

    Its parameters, their gradients, its mode and the random numbers to come are as before.
    batch: on the model's device, each row from the initial state on.
    """
    with _undisturbed(model):
        unrolled = unroll(model, batch)
        return Diagnostics(
            grad_norm=grad_norm_by_lag(unrolled),
            bits=bits_by_position(unrolled),
            gates=gate_saturation(model, unrolled),
        )


@contextmanager
def _undisturbed(model: CharModel) -> Iterator[None]:
    device = next(model.parameters()).device
    was_training = {module: module.training for module in model.modules()}
    with ExitStack() as stack:
        # validation runs in inference mode, in which there are no gradients
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autocast(device.type, enabled=False))
        # cuDNN has no gradients for layers in eval mode
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        # a cell may draw random numbers
        devices = [device] if device.type == "cuda" else []
        stack.enter_context(torch.random.fork_rng(devices))
        model.eval()
        try:
            yield
        finally:
            for module, mode in was_training.items():
                module.training = mode
