"""How a sequence runs in the GPU engine's kernels, and what the reference makes of it."""

import copy
from typing import NamedTuple

import torch

from charlab.engine.reference import ReferenceLayer
from charlab.engine.skeleton import Skeleton, parameter_names, tensor_of
from charlab.engine.trace import trace_cell

I = 4  # noqa: E741


class Outcome(NamedTuple):
    y: torch.Tensor
    state: list[torch.Tensor]
    grad_x: torch.Tensor
    grad_state: list[torch.Tensor]
    grad_parameters: list[torch.Tensor]

    def named(self):
        for field, value in self._asdict().items():
            for number, tensor in enumerate(value if isinstance(value, list) else [value]):
                yield f"{field} {number}", tensor


class Problem:
    """A cell with random parameters, and a random sequence, state and gradients for it."""

    def __init__(self, cell, num_steps, batch_size, device="cpu"):
        draw = torch.Generator().manual_seed(1)

        def random(*shape):
            return torch.randn(shape, generator=draw).to(device)

        self.cell = cell
        with torch.no_grad():
            for parameter in cell.parameters():
                parameter.copy_(random(*parameter.shape) * 0.4)
        self.cell.to(device)
        parts = [(batch_size, cell.hidden_size)] * len(cell.initial_state(1))
        self.x = random(num_steps, batch_size, cell.input_size)
        self.state = [random(*part) for part in parts]
        self.grad_y = random(num_steps, batch_size, cell.hidden_size)
        self.grad_state = [random(*part) for part in parts]

    def runner(self, chip):
        from charlab.engine.gpu.runner import TritonRunner

        return TritonRunner(trace_cell(self.cell), Skeleton(self.cell), torch.float32, chip)

    def run(self, runner, *, narrow=False):
        parameters = [tensor_of(self.cell, name).detach() for name in parameter_names(self.cell)]
        given = (self.x, self.state, parameters)
        y, state, saved = runner.forward(*given, narrow=narrow, save=True)
        shapes = runner.saved_shapes(*self.x.shape[:2])
        assert [tuple(tensor.shape) for tensor in saved] == shapes
        grads = (self.grad_y, self.grad_state)
        grad_x, grad_state, grad_parameters = runner.backward(
            *grads, *given, y, saved, narrow=narrow, need_x=True
        )
        return Outcome(y, state, grad_x, grad_state, self.tied(grad_parameters))

    def outputs(self, runner):
        """y and the state after it, with nothing saved."""
        parameters = [tensor_of(self.cell, name).detach() for name in parameter_names(self.cell)]
        y, state, saved = runner.forward(self.x, self.state, parameters, narrow=False, save=False)
        assert saved == []
        return y, state

    def tied(self, grads):
        """Gradients of tensors: a tensor with two names has one, the sum of theirs."""
        own = [id(tensor_of(self.cell, name)) for name in parameter_names(self.cell)]
        return [sum(grad for grad, one in zip(grads, own) if one == here) for here in own]

    def reference(self, *, narrow=False):
        """In float64, or under autocast."""
        dtype = torch.float32 if narrow else torch.float64
        cell = copy.deepcopy(self.cell).to(dtype)
        x = self.x.to(dtype, copy=True).requires_grad_()
        first = [part.to(dtype, copy=True).requires_grad_() for part in self.state]
        parameters = [tensor_of(cell, name) for name in parameter_names(cell)]
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=narrow):
            y, state = ReferenceLayer(cell)(x, type(cell.initial_state(1))(*first))
        grads = torch.autograd.grad(
            [y, *state],
            [x, *first, *parameters],
            [grad.to(dtype) for grad in (self.grad_y, *self.grad_state)],
            materialize_grads=True,
        )
        parts = len(first)
        return Outcome(
            y.detach(),
            [part.detach() for part in state],
            grads[0],
            list(grads[1 : 1 + parts]),
            list(grads[1 + parts :]),
        )


def check(found, wanted, tolerance):
    """Each tensor of an outcome within the tolerance of the size of the wanted one."""
    for (name, tensor), (_, right) in zip(found.named(), wanted.named(), strict=True):
        assert tensor.dtype == torch.float32 and tensor.shape == right.shape, name
        error = (tensor - right).norm() / right.norm().clamp(min=1)
        assert error < tolerance, f"{name}: {error:.1e}"
