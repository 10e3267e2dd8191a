"""From a cell's step to a program: one step and its backward are run, and watched.

The backward is autograd's own. Each recurrent product is cut out: its value is a leaf of the
graph, and the gradient in its input comes from outside, as it does in the engine.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from charlab.cells.base import Cell
from charlab.engine.graph import Graph
from charlab.engine.program import Backward, Call, Program
from charlab.engine.shadow import NotElementwise, Shadow
from charlab.engine.skeleton import Skeleton
from charlab.engine.watch import Watch

__all__ = ["NotElementwise", "trace_cell"]

NUM_ROWS = (2, 3)  # of the traced steps


def trace_cell(cell: Cell) -> Program:
    """The program of the cell's step. Raises NotElementwise, with what stands against it."""
    with (
        torch.device("cpu"),
        torch.inference_mode(False),  # a layer may be used for the first time in drawing text
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
    ):
        program, other = (Tracer(cell, num_rows).program() for num_rows in NUM_ROWS)
    if program != other:
        raise NotElementwise("the step depends on the number of rows")
    return program


@final
class Tracer:
    """One traced step of a cell, of some rows."""

    def __init__(self, cell: Cell, num_rows: int) -> None:
        self._skeleton = Skeleton(cell)
        self._size = cell.hidden_size
        self._dtype = cell.input_linear.weight.dtype
        self._num_gates = len(cell.gates)
        self._num_rows = num_rows
        with torch.no_grad():
            zeros = cell.initial_state(num_rows)
        shapes = [tuple(part.shape) for part in zeros]
        if set(shapes) != {(num_rows, self._size)}:
            raise NotElementwise(f"its state has parts of the shapes {shapes}, not all [B, H]")
        self._num_states = len(shapes)
        names = self._skeleton.linear_names
        self._linears = tuple(len(self._skeleton.gates_of[name]) for name in names)
        self._graph = Graph()
        self._shadow = Shadow(self._graph, self._size, num_rows)
        self._inputs: list[Tensor] = []  # of calls
        self._called: list[int] = []
        self._products: list[Tensor] = []

    def program(self) -> Program:
        x_BG = self._leaf(self._num_gates, "gate")
        state = [self._leaf(None, "state", part) for part in range(self._num_states)]
        others, other_blocks = self._others()
        watch = Watch(self._graph, self._shadow, self._dtype)
        with watch:
            new_state = self._skeleton.step(x_BG, tuple(state), others, self._product)
        if len(new_state) != len(state):
            raise NotElementwise(f"a state of {len(new_state)} parts, not of {len(state)}")
        new_nodes = tuple(self._shadow.node_of(part, "the new state") for part in new_state)
        calls = tuple(
            Call(linear, self._shadow.node_of(a_BH, "the input of a product"))
            for linear, a_BH in zip(self._called, self._inputs, strict=True)
        )
        leaves = [x_BG, *state, *self._products, *others]
        seeds = [self._leaf(None, "grad_state", part) for part in range(self._num_states)]
        watch.in_backward = True
        pieces = [Backward(None, self._adds(watch, new_state, seeds, leaves))]
        for call in reversed(range(len(calls))):
            seed = self._leaf(None, "grad_input", call)
            reached = {leaf for piece in pieces for leaf, _ in piece.adds}
            blocks = range(self._linears[calls[call].linear])
            # what the loss does not depend on gives nothing back
            alive = any(self._graph.leaf("product", call, block) in reached for block in blocks)
            adds = self._adds(watch, [self._inputs[call]], [seed], leaves) if alive else ()
            pieces.append(Backward(call, adds))
        return Program(
            tuple(self._graph.nodes),
            self._num_gates,
            self._num_states,
            self._linears,
            tuple(other_blocks),
            calls,
            new_nodes,
            tuple(pieces),
        )

    def _leaf(self, num_blocks: int | None, op: str, *args: int) -> Tensor:
        """A new tensor of one leaf, or of one leaf a block."""
        tensor = torch.zeros(self._num_rows, (num_blocks or 1) * self._size, dtype=self._dtype)
        blocks = [()] if num_blocks is None else [(block,) for block in range(num_blocks)]
        nodes = [self._graph.leaf(op, *args, *block) for block in blocks]
        self._shadow.write_blocks(tensor, nodes)
        return tensor.requires_grad_()

    def _others(self) -> tuple[list[Tensor], list[int]]:
        tensors, blocks = [], []
        named = zip(self._skeleton.other_names, self._skeleton.others_like, strict=True)
        for number, (name, like) in enumerate(named):
            tensor = torch.zeros(like.shape, dtype=like.dtype)
            blocks.append(self._shadow.write_parameter(tensor, number, name))
            tensors.append(tensor.requires_grad_(tensor.is_floating_point()))
        return tensors, blocks

    def _product(self, linear: int, a_BH: Tensor) -> Tensor:
        with _disable_current_modes():
            self._called.append(linear)
            self._inputs.append(a_BH)
            self._products.append(self._leaf(self._linears[linear], "product", len(self._products)))
        return self._products[-1]

    def _adds(
        self,
        watch: Watch,
        outputs: Sequence[Tensor],
        seeds: Sequence[Tensor],
        leaves: Sequence[Tensor],
    ) -> tuple[tuple[int, int], ...]:
        """What the gradients of the outputs, the seeds, add to the gradient of every leaf."""
        pairs = [(out, seed) for out, seed in zip(outputs, seeds, strict=True) if out.requires_grad]
        if not pairs:
            return ()
        with watch:
            gradients = torch.autograd.grad(
                [out for out, _ in pairs],
                leaves,
                [seed for _, seed in pairs],
                create_graph=True,  # without it, autograd adds in place
                allow_unused=True,
            )
        return tuple(
            add
            for leaf, gradient in zip(leaves, gradients, strict=True)
            if gradient is not None
            for add in self._shadow.gradients(leaf, gradient)
        )
