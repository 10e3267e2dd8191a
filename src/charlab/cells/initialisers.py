"""One named initialiser for all cells, so that a comparison is not between initialisers.

They write gate by gate: the fan of a weight is that of one gate's block, not of the stacked
matrix, and the recurrent block of each gate is orthogonal by itself.

| name       | input blocks     | recurrent blocks | biases           |
| torch      | U(+-1/sqrt(H))   | U(+-1/sqrt(H))   | U(+-1/sqrt(H))   | torch.nn's own for RNNs
| uniform    | U(+-0.1)         | U(+-0.1)         | 0                | the enwik8 notebook's
| xavier     | Glorot uniform   | Glorot uniform   | 0                | Glorot & Bengio 2010, eq. 16
| orthogonal | Glorot uniform   | orthogonal       | 0                | Saxe et al. 2014

A layer's `gate_biases` (the LSTM's forget bias) are set last: on the input bias, with the
recurrent bias of that gate at 0, so that their sum is the value asked for.
"""

from collections.abc import Callable

import torch
from torch import Generator, nn

from charlab.cells.base import GateBlock, Recurrent

Initialiser = Callable[[GateBlock, int, Generator], None]


def _torch(block: GateBlock, hidden_size: int, generator: Generator) -> None:
    bound = hidden_size**-0.5
    nn.init.uniform_(block.tensor, -bound, bound, generator)


def _uniform(block: GateBlock, hidden_size: int, generator: Generator) -> None:
    if block.role in ("input", "recurrent"):
        nn.init.uniform_(block.tensor, -0.1, 0.1, generator)
    else:
        nn.init.zeros_(block.tensor)


def _xavier(block: GateBlock, hidden_size: int, generator: Generator) -> None:
    if block.role in ("input", "recurrent"):
        nn.init.xavier_uniform_(block.tensor, generator=generator)
    else:
        nn.init.zeros_(block.tensor)


def _orthogonal(block: GateBlock, hidden_size: int, generator: Generator) -> None:
    if block.role == "recurrent":
        nn.init.orthogonal_(block.tensor, generator=generator)
    else:
        _xavier(block, hidden_size, generator)


INITIALISERS: dict[str, Initialiser] = {
    "torch": _torch,
    "uniform": _uniform,
    "xavier": _xavier,
    "orthogonal": _orthogonal,
}


@torch.no_grad()
def initialise(layer: Recurrent, name: str, generator: Generator) -> None:
    """Write the weights and biases of a layer, drawing from the generator alone."""
    for block in layer.gate_blocks():
        INITIALISERS[name](block, layer.hidden_size, generator)
    for block in layer.gate_blocks():
        if block.gate in layer.gate_biases and block.role == "input_bias":
            nn.init.constant_(block.tensor, layer.gate_biases[block.gate])
        if block.gate in layer.gate_biases and block.role == "recurrent_bias":
            nn.init.zeros_(block.tensor)
