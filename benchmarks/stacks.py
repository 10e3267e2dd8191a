"""What is measured: cells at a shape, run by an engine, and the layers that torch has for them."""

import copy
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast, final

import torch
from torch import Generator, Tensor, nn

from charlab.cells.base import Layer
from charlab.cells.initialisers import initialise
from charlab.engine import build_layer

# Rows of a batch that the float64 loop takes at a time: it keeps every step.
EXACT_ROWS = 64


@final
class Entry(NamedTuple):
    """A cell with its options, and the layer of torch it is measured against.

    equal  whether that layer computes the same
    """

    cell: str
    options: Mapping[str, Any]
    builtin: str | None
    builtin_options: Mapping[str, Any]
    equal: bool


ENTRIES = {
    "gru after": Entry(
        "custom_gru",
        {"bias": "both", "reset": "after", "update_gate": "keep"},
        "gru",
        {},
        equal=True,
    ),
    "gru before": Entry(  # the enwik8 notebook's
        "custom_gru",
        {"bias": "none", "reset": "before", "update_gate": "admit"},
        "gru",
        {},
        equal=False,
    ),
    "lstm": Entry(
        "custom_lstm",
        {"forget_bias": 1.0, "bias": "both"},
        "lstm",
        {"forget_bias": 1.0},
        equal=True,
    ),
    "rnn": Entry(
        "custom_rnn",
        {"nonlinearity": "tanh", "bias": "both"},
        "rnn",
        {"nonlinearity": "tanh"},
        equal=True,
    ),
    "mlstm": Entry("mlstm", {"forget_bias": 1.0, "bias": "input"}, None, {}, equal=False),
}


# as they are named by `build`, beside "torch"
ENGINES = ("compiled", "eager", "reference")


def labels(entry: str, engine: str) -> tuple[str, str]:
    """(cell, who runs it) as the tables call them."""
    if engine == "torch":
        builtin = str(ENTRIES[entry].builtin)
        return builtin, f"nn.{builtin.upper()}"
    return entry, {"reference": "loop", "torch.compile": "loop, compiled"}.get(engine, engine)


@final
class Shape(NamedTuple):
    """T steps, B rows, input size I, hidden size H, so many layers; fp32, or bf16 by autocast."""

    steps: int
    rows: int
    input_size: int
    hidden_size: int
    num_layers: int
    precision: str

    @classmethod
    def read(cls, text: str) -> "Shape":
        """100,512,300,300x2:bf16; one layer in fp32 where nothing else is said."""
        found = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)(?:x(\d+))?(?::(fp32|bf16))?", text)
        if found is None:
            raise ValueError(text)
        *sizes, layers, precision = found.groups()
        steps, rows, inputs, hidden = (int(size) for size in sizes)
        return cls(steps, rows, inputs, hidden, int(layers or 1), precision or "fp32")

    def __str__(self) -> str:
        layers = f"x{self.num_layers}" if self.num_layers > 1 else ""
        precision = ":bf16" if self.precision == "bf16" else ""
        return ",".join(str(size) for size in self[:4]) + layers + precision


@final
class Stack(nn.Module):
    """Layers on top of each other, each from its initial state."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        super().__init__()
        self.layers = cast(Iterable[Layer], nn.ModuleList(layers))

    def forward(self, x_TBI: Tensor) -> Tensor:
        for layer in self.layers:
            x_TBI, _ = layer(x_TBI, layer.initial_state(x_TBI.shape[1]))
        return x_TBI


def build(entry: Entry, shape: Shape, engine: str, cache: Path) -> Stack:
    """The cell at the shape, in one engine or, as "torch", by torch's own layer.

    Cells with the same gates and biases have the same weights.
    """
    sizes = [shape.input_size, *[shape.hidden_size] * (shape.num_layers - 1)]
    generator = Generator().manual_seed(0)
    layers = []
    for size in sizes:
        if engine == "torch":
            assert entry.builtin is not None
            layer = build_layer(entry.builtin, size, shape.hidden_size, entry.builtin_options)
        else:
            options = dict(entry.options)
            layer = build_layer(entry.cell, size, shape.hidden_size, options, engine, cache)
        initialise(layer, "torch", generator)
        layers.append(layer)
    return Stack(layers)


@final
class Problem:
    """The input at a shape, and the gradient of a loss in the output."""

    def __init__(self, shape: Shape) -> None:
        generator = Generator().manual_seed(1)
        size = (shape.steps, shape.rows)
        self.shape = shape
        self.x_TBI = torch.randn(*size, shape.input_size, generator=generator)
        self.grad_TBH = torch.randn(*size, shape.hidden_size, generator=generator)
        self.x_TBI.requires_grad_()

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.shape.precision == "bf16")

    def forward(self, stack: nn.Module) -> Tensor:
        """Outputs, without a graph, as when a model is evaluated."""
        with torch.no_grad(), self._autocast():
            return cast(Tensor, stack(self.x_TBI))

    def both(self, stack: nn.Module) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Outputs, and gradients in the input and all parameters, as when it learns."""
        with self._autocast():
            y_TBH = stack(self.x_TBI)
        wanted = [self.x_TBI, *stack.parameters()]
        return y_TBH, torch.autograd.grad(y_TBH, wanted, self.grad_TBH.to(y_TBH.dtype))

    def exact(self, stack: Stack) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What `both` would give in float64; the stack is one of the reference engine."""
        stack = copy.deepcopy(stack).double()
        parameters = list(stack.parameters())
        outputs, inputs = [], []
        sums = [torch.zeros_like(parameter) for parameter in parameters]
        blocks = (torch.split(whole, EXACT_ROWS, 1) for whole in (self.x_TBI, self.grad_TBH))
        for x, grad in zip(*blocks):
            x = x.detach().double().requires_grad_()
            y = stack(x)
            grad_x, *grads = torch.autograd.grad(y, [x, *parameters], grad.double())
            outputs.append(y.detach())
            inputs.append(grad_x)
            for total, grad in zip(sums, grads):
                total += grad
        return torch.cat(outputs, 1), (torch.cat(inputs, 1), *sums)
