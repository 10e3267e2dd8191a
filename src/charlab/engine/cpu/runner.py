"""The compiled engine on the CPU: hands tensors to the library of a program.

The library runs all that is inside the time loop.
"""

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from charlab.engine.cpu.build import load
from charlab.engine.cpu.codegen import source
from charlab.engine.cpu.layout import Layout
from charlab.engine.cpu.weights import WeightGradients
from charlab.engine.program import Program
from charlab.engine.runner import Runner
from charlab.engine.skeleton import Skeleton

# Rows, of all steps, from which on it pays to pack the weights first; and rows of each step from
# which on packed weights are faster, where they are packed once for many calls.
PACKED_FROM, PACKED_ONCE_FROM = 12, 4

SIZES = ctypes.c_long * 8  # as in step.h


@final
class CompiledRunner(Runner):
    """Raises CompileFailed where the library cannot be made. dtype: float32 or float64."""

    name = "compiled"

    def __init__(
        self, program: Program, skeleton: Skeleton, dtype: torch.dtype, cache: Path
    ) -> None:
        self._program = program
        self._hidden_size = skeleton.cell.hidden_size
        self._layout = Layout(program)
        self._library = load(source(self._layout, single=dtype == torch.float32), cache)
        for size in (self._library.forward_size, self._library.backward_size):
            size.argtypes, size.restype = (ctypes.c_long, ctypes.c_long), ctypes.c_long
        places = skeleton.places
        # of the input product, then of each call
        self._linears = [places.input, *(places.linears[call.linear] for call in program.calls)]
        self._others = places.others
        self._order = [*self._others, *(one for pair in self._linears for one in pair)]

    def saved_shapes(self, num_steps: int, batch_size: int) -> list[tuple[int, ...]]:
        size = self._hidden_size
        sequences = [(num_steps, batch_size, size)] * (self._program.num_states - 1)
        return [*sequences, (num_steps, batch_size, len(self._layout.saved) * size)]

    def forward(
        self,
        x_TBI: Tensor,
        state: Sequence[Tensor],
        parameters: Sequence[Tensor],
        *,
        narrow: bool,
        save: bool,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        x_TBI = _narrowed(x_TBI) if narrow else x_TBI
        num_steps, batch_size, input_size = x_TBI.shape
        y_TBH = x_TBI.new_empty(num_steps, batch_size, self._hidden_size)
        last = [torch.empty_like(part) for part in state]
        saved = []
        if save:
            saved = [x_TBI.new_empty(s) for s in self.saved_shapes(num_steps, batch_size)]
        size = 0
        if num_steps * batch_size >= PACKED_FROM:
            size = self._library.forward_size(input_size, self._hidden_size)
        packed = x_TBI.new_empty(size) if size else None
        self._library.forward(
            SIZES(*x_TBI.shape, self._hidden_size, _num_threads(batch_size), narrow, save, False),
            _places(
                [x_TBI, packed, y_TBH, saved[-1] if save else None],
                [*state, *last, *(saved[:-1] if save else [None] * (len(state) - 1))],
                self._read(parameters),
            ),
        )
        return y_TBH, last, saved

    def stepper(
        self, state: Sequence[Tensor], parameters: Sequence[Tensor], *, narrow: bool
    ) -> Callable[[Tensor], Tensor]:
        parts = [part.clone() for part in state]
        num_rows, input_size = len(parts[0]), parameters[self._linears[0][0]].shape[1]
        packed = None
        if num_rows >= PACKED_ONCE_FROM:
            packed = parts[0].new_empty(self._library.forward_size(input_size, self._hidden_size))
        return _Stepper(
            self._library.forward,
            (num_rows, input_size, self._hidden_size),
            narrow,
            parts[0],
            [None, packed, None, None],
            [*parts, *parts, *[None] * (len(parts) - 1), *self._read(parameters)],
        )

    def backward(
        self,
        grad_y_TBH: Tensor,
        grad_state: Sequence[Tensor],
        x_TBI: Tensor,
        state: Sequence[Tensor],
        parameters: Sequence[Tensor],
        y_TBH: Tensor,
        saved: Sequence[Tensor],
        *,
        narrow: bool,
        need_x: bool,
    ) -> tuple[Tensor | None, list[Tensor], list[Tensor]]:
        x_TBI = _narrowed(x_TBI) if narrow else x_TBI
        num_steps, batch_size, input_size = x_TBI.shape
        hidden_size, num_threads = self._hidden_size, _num_threads(batch_size)
        d_state = [grad.clone() for grad in grad_state]
        d_x = torch.empty_like(x_TBI) if need_x else None
        grads = [torch.zeros_like(parameter) for parameter in parameters]
        sums = x_TBI.new_zeros(
            num_threads, len(self._layout.sums), hidden_size, dtype=torch.float64
        )
        weights = WeightGradients(self._layout, self._linears, grads, x_TBI, hidden_size)
        summed, columns, D = weights.room(num_threads, num_steps * batch_size)
        packed = x_TBI.new_empty(self._library.backward_size(input_size, hidden_size))
        self._library.backward(
            SIZES(*x_TBI.shape, hidden_size, num_threads, narrow, False, False),
            _places(
                [x_TBI, packed, y_TBH, saved[-1], grad_y_TBH, D, summed, d_x],
                [*state, *d_state, *saved[:-1]],
                self._read(parameters),
            ),
            ctypes.c_long(weights.size),
            ctypes.c_void_p(columns.data_ptr() if columns.numel() else None),
            ctypes.c_void_p(sums.data_ptr()),
        )
        if weights.are_summed:
            weights.take_sums(summed, columns)
        else:
            weights.take_products(D, x_TBI, state, y_TBH, saved)
        self._take_others(grads, sums)
        return d_x, d_state, grads

    def _take_others(self, grads: list[Tensor], sums: Tensor) -> None:
        """Gradients of parameters that belong to no product, from the sums of each thread."""
        for number, leaf in enumerate(self._layout.sums):
            op, args = self._program.nodes[leaf]
            grad, total_H = grads[self._others[int(args[0])]], sums[:, number].sum(0)
            if op == "scalar":
                grad += total_H.sum()
            else:
                grad.view(-1, self._hidden_size)[int(args[1])] += total_H

    def _read(self, parameters: Sequence[Tensor]) -> list[Tensor | None]:
        """Other parameters, then weight and bias of each product."""
        return [None if place is None else parameters[place] for place in self._order]


@final
class _Stepper:
    """Calls the library for one step after another, on addresses that stay the same.

    Weights are packed at the first step; the state stays where it is.
    """

    def __init__(
        self,
        forward: Callable[..., None],
        sizes: tuple[int, int, int],
        narrow: bool,
        like: Tensor,
        *tensors: Sequence[Tensor | None],
    ) -> None:
        self._forward = forward
        self._shape, self._y_shape = sizes[:2], (sizes[0], sizes[2])
        self._narrow, self._like = narrow, like
        self._sizes = SIZES(1, *sizes, _num_threads(sizes[0]), narrow, False, False)
        self._tensors = tensors  # or they would be freed
        self._places = _places(*tensors)

    def __call__(self, x_BI: Tensor) -> Tensor:
        if x_BI.shape != self._shape:
            raise ValueError(f"x has the shape {list(x_BI.shape)}, not {list(self._shape)}")
        x_BI = x_BI.to(self._like).contiguous()
        x_BI = _narrowed(x_BI) if self._narrow else x_BI
        y_BH = x_BI.new_empty(self._y_shape)
        self._places[0], self._places[2] = x_BI.data_ptr(), y_BH.data_ptr()
        self._forward(self._sizes, self._places)
        self._sizes[7] = True
        return y_BH


def _num_threads(batch_size: int) -> int:
    """No more than there are rows: a thread has at least one."""
    return min(torch.get_num_threads(), batch_size)


def _narrowed(tensor: Tensor) -> Tensor:
    return tensor.bfloat16().to(tensor.dtype)


def _places(*tensors: Sequence[Tensor | None]) -> Any:
    """Addresses of first numbers, null where there is none. The caller holds the tensors."""
    at = [None if one is None else one.data_ptr() or None for some in tensors for one in some]
    return (ctypes.c_void_p * len(at))(*at)
