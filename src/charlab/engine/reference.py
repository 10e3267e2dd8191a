"""The definition of what a cell means as a layer: a loop over its steps, in plain torch.

Every faster engine has to equal it in values and gradients.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor

from charlab.cells.base import Cell, GateBlock, Layer
from charlab.types import LayerState


def run_steps(cell: Cell, x_TBI: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
    """Outputs [T, B, H] and the state after the last step, one step at a time."""
    # under autocast the products are narrower than the state; elementwise functions and the state
    # are not, as the wider of two types wins
    x_TBG = cell.input_linear(x_TBI).to(state[0].dtype)
    outputs = [state[0]]
    for x_BG in x_TBG.unbind(0):
        state = cell.step(x_BG, state)
        outputs.append(state[0])
    return torch.stack(outputs)[1:], state


class CellLayer(Layer):
    """A layer that runs a cell, kept as `cell`."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell.input_size, cell.hidden_size)
        self.cell = cell
        self.gates = cell.gates
        self.gate_biases = cell.gate_biases

    def initial_state(self, batch_size: int) -> LayerState:
        return self.cell.initial_state(batch_size)

    def gate_blocks(self) -> Iterator[GateBlock]:
        return self.cell.gate_blocks()

    @abstractmethod
    def settle(self, device_type: str, dtype: torch.dtype) -> tuple[str, str | None]:
        """(what runs the cell there, what there is to say about it); prepares it if need be."""


@final
class ReferenceLayer(CellLayer):
    """Runs a cell one step at a time, after one input product for the whole chunk."""

    def settle(self, device_type: str, dtype: torch.dtype) -> tuple[str, str | None]:
        return "reference", None

    def forward(self, x_TBI: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        return run_steps(self.cell, x_TBI, state)
