"""The definition of what a cell means as a layer: a loop over its steps, in plain torch.

Every faster engine has to equal it in values and gradients.
"""

from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor

from charlab.cells.base import Cell, GateBlock, Layer
from charlab.types import LayerState


@final
class ReferenceLayer(Layer):
    """Runs a cell one step at a time, after one input product for the whole chunk."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell.input_size, cell.hidden_size)
        self.cell = cell
        self.gates = cell.gates
        self.gate_biases = cell.gate_biases

    def initial_state(self, batch_size: int) -> LayerState:
        return self.cell.initial_state(batch_size)

    def gate_blocks(self) -> Iterator[GateBlock]:
        return self.cell.gate_blocks()

    def forward(self, x_TBI: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        outputs = []
        # under autocast the products are narrower than the state; elementwise functions and the
        # state are not, as the wider of two types wins
        x_TBG = self.cell.input_linear(x_TBI).to(state[0].dtype)
        for x_BG in x_TBG.unbind(0):
            state = self.cell.step(x_BG, state)
            outputs.append(state[0])
        return torch.stack(outputs), state
