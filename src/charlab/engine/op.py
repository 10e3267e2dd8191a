"""The recurrence as one operator of torch, with a second one as its backward.

torch.compile, autograd and DDP see two operators on tensors; what they run is a `Runner`, named by
a key, as an operator takes no other objects. First derivatives only.
"""

import itertools
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn
from weakref import WeakValueDictionary

import torch
from torch import Tensor
from torch.library import custom_op

from charlab.engine.runner import Runner

# Runners that are alive, by key. A key is never used again, also not in another process: what
# torch.compile keeps on disk must not find another cell's runner under it.
_RUNNERS: WeakValueDictionary[str, Runner] = WeakValueDictionary()
_PROCESS = os.urandom(6).hex()
_NUMBERS = itertools.count()


def register(runner: Runner) -> str:
    """The key under which `recurrence` finds the runner as long as somebody holds it."""
    key = f"{runner.name}-{_PROCESS}-{next(_NUMBERS)}"
    _RUNNERS[key] = runner
    return key


def run(
    runner: Runner,
    x_TBI: Tensor,
    state: Sequence[Tensor],
    parameters: Sequence[Tensor],
    narrow: bool,
    save: bool,
) -> list[Tensor]:
    """What `recurrence` gives, without torch's dispatcher. Records nothing for autograd."""
    given = (x_TBI.contiguous(), _contiguous(state), _contiguous(parameters))
    with _plain(x_TBI):
        y_TBH, after, saved = runner.forward(*given, narrow=narrow, save=save)
    return [y_TBH, *after, *saved]


def _contiguous(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.contiguous() for tensor in tensors]


def _plain(tensor: Tensor) -> AbstractContextManager[object]:
    """Autocast off."""
    device_type = tensor.device.type
    is_on = torch.is_autocast_enabled(device_type)
    return torch.autocast(device_type, enabled=False) if is_on else nullcontext()


@custom_op("charlab::recurrence", mutates_args=())
def recurrence(
    x_TBI: Tensor,
    state: Sequence[Tensor],
    parameters: Sequence[Tensor],
    runner: str,
    narrow: bool,
    save: bool,
) -> list[Tensor]:
    """y [T, B, H], the parts of the state after the chunk, and with `save` what backward needs."""
    with torch.no_grad():
        return run(_RUNNERS[runner], x_TBI, state, parameters, narrow, save)


@recurrence.register_fake
def _(
    x_TBI: Tensor,
    state: Sequence[Tensor],
    parameters: Sequence[Tensor],
    runner: str,
    narrow: bool,
    save: bool,
) -> list[Tensor]:
    num_steps, batch_size, _ = x_TBI.shape
    shapes = [(num_steps, *state[0].shape), *(part.shape for part in state)]
    if save:
        shapes += _RUNNERS[runner].saved_shapes(num_steps, batch_size)
    return [x_TBI.new_empty(shape) for shape in shapes]


@custom_op("charlab::recurrence_backward", mutates_args=())
def recurrence_backward(
    grad_y_TBH: Tensor,
    grad_state: Sequence[Tensor],
    x_TBI: Tensor,
    state: Sequence[Tensor],
    parameters: Sequence[Tensor],
    y_TBH: Tensor,
    saved: Sequence[Tensor],
    runner: str,
    narrow: bool,
    need_x: bool,
) -> list[Tensor]:
    """Gradients of the parts of the first state, of the parameters, and with `need_x` of x."""
    with torch.no_grad(), _plain(x_TBI):
        grad_x, grad_first, grad_parameters = _RUNNERS[runner].backward(
            grad_y_TBH.contiguous(),
            _contiguous(grad_state),
            x_TBI.contiguous(),
            _contiguous(state),
            _contiguous(parameters),
            y_TBH,
            saved,
            narrow=narrow,
            need_x=need_x,
        )
    return [*grad_first, *grad_parameters] + ([] if grad_x is None else [grad_x])


@recurrence_backward.register_fake
def _(
    grad_y_TBH: Tensor,
    grad_state: Sequence[Tensor],
    x_TBI: Tensor,
    state: Sequence[Tensor],
    parameters: Sequence[Tensor],
    y_TBH: Tensor,
    saved: Sequence[Tensor],
    runner: str,
    narrow: bool,
    need_x: bool,
) -> list[Tensor]:
    wanted = [*state, *parameters, *([x_TBI] if need_x else [])]
    return [tensor.new_empty(tensor.shape) for tensor in wanted]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    x_TBI, state, parameters, key, narrow, _ = inputs
    saved = output[1 + len(state) :]
    ctx.runner = _RUNNERS[key]  # alive until the backward, even if the layer is not
    ctx.settings = (key, narrow, len(state), len(parameters))
    ctx.save_for_backward(x_TBI, *state, *parameters, output[0], *saved)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Any, ...]:
    key, narrow, num_parts, num_parameters = ctx.settings
    x_TBI, *kept = ctx.saved_tensors
    state, kept = kept[:num_parts], kept[num_parts:]
    parameters, (y_TBH, *saved) = kept[:num_parameters], kept[num_parameters:]
    grad_y_TBH, *grad_state = [
        torch.zeros_like(output) if grad is None else grad
        for grad, output in zip(grads, [y_TBH, *state])
    ]
    need_x = ctx.needs_input_grad[0]
    found = torch.ops.charlab.recurrence_backward(
        grad_y_TBH, grad_state, x_TBI, state, parameters, y_TBH, saved, key, narrow, need_x
    )
    grad_x = found.pop() if need_x else None
    return grad_x, found[:num_parts], found[num_parts:], None, None, None


def _refuse(ctx: Any, grads: Sequence[Tensor | None]) -> NoReturn:
    raise RuntimeError(
        "the engine has first derivatives only, and this asks for the gradient of a gradient "
        "(create_graph=True, or autograd.grad twice): build the layer with engine='reference' "
        "(model.engine=reference), which is slower and has all of them"
    )


recurrence.register_autograd(_backward, setup_context=_keep)
recurrence_backward.register_autograd(_refuse)
