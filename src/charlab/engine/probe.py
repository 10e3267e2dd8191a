"""Whether a step gives the same when it is run again: one step is run and watched."""

from typing import Any, final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from charlab.cells.base import Cell, GateLinear
from charlab.engine.skeleton import Skeleton, tensor_of

NUM_ROWS = 2


@final
class NotRepeatable(Exception):
    """The step cannot be run again from what one step is given. The reason fits a message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def probe(cell: Cell, skeleton: Skeleton) -> tuple[int, ...]:
    """The recurrent products that one step makes, by number, in its order.

    Raises NotRepeatable where the step draws random numbers, lets values of tensors decide what it
    does, works in place on what it is given, keeps something in the cell, uses a product in another
    way than by calling it, or fails.
    """
    for name, module in cell.named_modules():
        if isinstance(module, GateLinear) and (
            module._forward_pre_hooks
            or module._forward_hooks
            or module._backward_hooks
            or module._backward_pre_hooks
        ):
            raise NotRepeatable(f"{name} has hooks")
    # whatever is going on around the first use of a layer
    with (
        _disable_current_modes(),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(cell.input_linear.weight.device.type, enabled=False),
    ):
        return _run(cell, skeleton)


def _run(cell: Cell, skeleton: Skeleton) -> tuple[int, ...]:
    weight = cell.input_linear.weight
    like = torch.zeros(0, dtype=weight.dtype, device=weight.device)
    calls: list[int] = []
    given: list[tuple[Tensor, int]] = []  # and its version: 1 where an inference tensor was copied

    def leaf(tensor: Tensor) -> Tensor:
        made = tensor.detach().clone().requires_grad_(tensor.is_floating_point())
        given.append((made, made._version))
        return made

    def product(linear: int, a_BH: Tensor) -> Tensor:
        right = cell.get_submodule(skeleton.linear_names[linear])
        assert isinstance(right, GateLinear)
        shape = (NUM_ROWS, right.in_features)
        if a_BH.shape != shape or a_BH.dtype != like.dtype:
            raise NotRepeatable(
                f"{skeleton.linear_names[linear]} is given {a_BH.dtype} {list(a_BH.shape)}, "
                f"not {like.dtype} {list(shape)}"
            )
        calls.append(linear)
        return leaf(like.new_zeros(NUM_ROWS, right.out_features))

    x_BG = leaf(like.new_zeros(NUM_ROWS, cell.input_linear.out_features))
    zeros = cell.initial_state(NUM_ROWS)
    if any(part.dtype != like.dtype or part.shape[:1] != (NUM_ROWS,) for part in zeros):
        raise NotRepeatable("its state is not all [B, ...] in the type of its weights")
    state = [leaf(part) for part in zeros]
    others = [leaf(tensor_of(cell, name)) for name in skeleton.other_names]
    before = _attributes(skeleton)
    try:
        with _Watch():  # type: ignore[no-untyped-call]
            new = skeleton.step(x_BG, state, others, product)
    except NotRepeatable:
        raise
    except Exception as error:
        first_line = str(error).partition("\n")[0]
        raise NotRepeatable(f"{type(error).__name__}: {first_line}") from error
    plain = [tensor.detach() for tensor in (x_BG, *state, *others)]
    read: list[Tensor] = []

    def constant(linear: int, a_BH: Tensor) -> Tensor:
        read.append(a_BH)
        width = len(skeleton.gates_of[skeleton.linear_names[linear]]) * cell.hidden_size
        return like.new_zeros(NUM_ROWS, width)

    parts, rest = plain[1 : 1 + len(state)], plain[1 + len(state) :]
    again = skeleton.step(plain[0], parts, rest, constant)
    if any(tensor.requires_grad for tensor in (*again, *read)):
        raise NotRepeatable("it reads weights by another way than the attributes of self")
    if any(tensor._version != version for tensor, version in given):
        raise NotRepeatable("it works in place on what it is given")
    changed = [key for key, value in _attributes(skeleton).items() if value is not before.get(key)]
    if changed:
        raise NotRepeatable(f"it sets self.{changed[0][1]}")
    shapes = [[(part.shape, part.dtype) for part in parts] for parts in (state, new)]
    if shapes[0] != shapes[1]:
        raise NotRepeatable("its state after a step has other shapes or types than the one before")
    return tuple(calls)


def _attributes(skeleton: Skeleton) -> dict[tuple[str, str], object]:
    return {
        (path, name): value
        for path, module in skeleton.cell.named_modules()
        for name, value in vars(module).items()
    }


@final
class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise NotRepeatable("it draws random numbers")
        if func is torch.ops.aten._local_scalar_dense.default:
            raise NotRepeatable("values of tensors decide what it does")
        return func(*args, **(kwargs or {}))
