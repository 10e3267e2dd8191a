"""Whole sequences in plain torch, for every step that gives the same when it is run again.

The input product is made once for all steps. The forward keeps what each step was given: its part
of the input product, the values of its recurrent products, its state. The backward runs each step
again from those and differentiates it; what is weight-shaped is made once, after the loop, from the
gradients and operands of all steps.
"""

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor

from charlab.cells.base import Cell
from charlab.engine.probe import probe
from charlab.engine.products import Products, operand_gradient, weight_gradient
from charlab.engine.runner import Runner
from charlab.engine.skeleton import Skeleton, tensor_of
from charlab.engine.step_back import Step, StepBack


@final
class EagerRunner(Runner):
    """Raises NotRepeatable for a cell whose step cannot be run a second time.

    Products are numbered as the recurrent ones of the skeleton are, the input product comes last.
    """

    name = "eager"

    def __init__(self, cell: Cell) -> None:
        self._skeleton = skeleton = Skeleton(cell)
        self._calls = probe(cell, skeleton)
        self._step_back = StepBack(skeleton, self._calls)
        self._tails = [tuple(part.shape[1:]) for part in cell.initial_state(1)]
        names = [*skeleton.linear_names, "input_linear"]
        self._linears = [*skeleton.places.linears, skeleton.places.input]
        self._widths = [len(tensor_of(cell, f"{name}.weight")) for name in names]
        self._others = skeleton.places.others

    def saved_shapes(self, num_steps: int, batch_size: int) -> list[tuple[int, ...]]:
        """The input product, the value of each call, the parts of the state after the first."""
        widths = [self._widths[-1], *(self._widths[linear] for linear in self._calls)]
        tails = [*((width,) for width in widths), *self._tails[1:]]
        return [(num_steps, batch_size, *tail) for tail in tails]

    def forward(
        self,
        x_TBI: Tensor,
        state: Sequence[Tensor],
        parameters: Sequence[Tensor],
        *,
        narrow: bool,
        save: bool,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        products = Products(self._linears, parameters, narrow)
        others = [parameters[place] for place in self._others]
        num_steps, batch_size, _ = x_TBI.shape
        x_TBG = products.forward(-1, x_TBI.flatten(0, 1)).view(num_steps, batch_size, -1)
        y_TBH = x_TBI.new_empty(num_steps, batch_size, *self._tails[0])
        shapes = self.saved_shapes(num_steps, batch_size)[1:] if save else []
        saved = [x_TBI.new_empty(shape) for shape in shapes]
        values, parts = saved[: len(self._calls)], saved[len(self._calls) :]
        for t, x_BG in enumerate(x_TBG.unbind(0)):
            slots = iter([value[t] for value in values])

            def product(linear: int, a_BH: Tensor, slots: Any = slots) -> Tensor:
                return products.forward(linear, a_BH, next(slots, None))

            state = self._skeleton.step(x_BG, state, others, product)
            y_TBH[t] = state[0]
            for part, value in zip(parts, state[1:]):
                part[t] = value
        return y_TBH, [part.clone() for part in state], [x_TBG, *saved] if save else []

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
        weights = Products(self._linears, parameters, narrow).weights
        x_TBG, values = saved[0], saved[1 : 1 + len(self._calls)]
        after = [y_TBH, *saved[1 + len(self._calls) :]]
        others = [parameters[place] for place in self._others]
        of_calls = [weights[linear] for linear in self._calls]
        grads, totals, steps = list(grad_state), [torch.zeros_like(other) for other in others], []
        for t in reversed(range(len(x_TBG))):
            before = [part[t - 1] for part in after] if t > 0 else state
            known = [value[t] for value in values]
            grads[0] = grads[0] + grad_y_TBH[t]
            found = self._step_back(Step(x_TBG[t], before, known, others, of_calls, grads))
            for total, one in zip(totals, found.others, strict=True):
                total += one
            grads = found.state
            steps.append((found.x_BG, *found.values, *found.operands))
        steps.reverse()
        d_x_TBG, *columns = (torch.stack(column) for column in zip(*steps))

        gradients = [torch.zeros_like(parameter) for parameter in parameters]
        for place, total in zip(self._others, totals, strict=True):
            gradients[place] = total
        ds, operands = [*columns[: len(values)], d_x_TBG], [*columns[len(values) :], x_TBI]
        for linear, d_TBG, a_TBI in zip([*self._calls, -1], ds, operands, strict=True):
            weight, bias = self._linears[linear]
            d_KG, a_KI = d_TBG.flatten(0, 1), a_TBI.flatten(0, 1)
            gradients[weight] += weight_gradient(d_KG, a_KI, weights[linear])
            if bias is not None:
                gradients[bias] += d_KG.sum(0)
        d_x = operand_gradient(d_x_TBG.flatten(0, 1), weights[-1]).view_as(x_TBI)
        return d_x if need_x else None, [grad.clone() for grad in grads], gradients
