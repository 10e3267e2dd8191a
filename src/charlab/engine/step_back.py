"""One step of any cell run again and differentiated: its vector-Jacobian product.

Autograd finds it, once for a number of rows; what it did is kept as a list of operations, which
is what runs at each step.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple, final

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import _disable_current_modes

from charlab.engine.products import operand_gradient
from charlab.engine.skeleton import Skeleton

Function = Callable[..., list[Tensor]]
aten: Any = torch.ops.aten


@final
class Step(NamedTuple):
    """What one step was given, and the gradients of the state that it gave.

    values   of its recurrent products, in the order of the step
    weights  of these products
    """

    x_BG: Tensor
    state: Sequence[Tensor]
    values: Sequence[Tensor]
    others: Sequence[Tensor]
    weights: Sequence[Tensor]
    grads: Sequence[Tensor]


@final
class Gradients(NamedTuple):
    """operands: what the recurrent products of the step were made of."""

    x_BG: Tensor
    state: list[Tensor]
    values: list[Tensor]
    others: list[Tensor]
    operands: list[Tensor]


@final
class StepBack:
    """calls: the recurrent products of a step, by number, in its order."""

    def __init__(self, skeleton: Skeleton, calls: Sequence[int]) -> None:
        self._skeleton = skeleton
        self._calls = calls
        self._traced: dict[tuple[object, ...], Function] = {}

    def __call__(self, step: Step) -> Gradients:
        sizes = [len(part) for part in step[1:]]
        flat = [step.x_BG, *(tensor for part in step[1:] for tensor in part)]
        key = (step.x_BG.shape, *((tensor.dtype, tensor.device) for tensor in flat))
        function = self._traced.get(key)
        if function is None:
            function = self._traced[key] = self._trace(flat, sizes)
        x_BG, *found = function(*flat)
        num_parts, num_calls, num_others = sizes[:3]
        return Gradients(x_BG, *_split(found, [num_parts, num_calls, num_others, num_calls]))

    def _trace(self, flat: Sequence[Tensor], sizes: Sequence[int]) -> Function:
        def function(x_BG: Tensor, *rest: Tensor) -> list[Tensor]:
            return self._differentiate(Step(x_BG, *_split(rest, sizes)))

        try:
            with _disable_current_modes():
                traced = _bare(make_fx(function)(*flat))
        except Exception:  # what torch can differentiate but not trace
            return function
        # numbers that leave torch and come back, in numpy for instance, are constants of a trace
        others = [
            tensor * 0.75 + 0.125 if tensor.is_floating_point() else tensor for tensor in flat
        ]
        pairs = zip(traced(*others), function(*others), strict=True)
        is_same = all(torch.allclose(*pair, rtol=1e-3, equal_nan=True) for pair in pairs)
        return traced if is_same else function

    def _differentiate(self, step: Step) -> list[Tensor]:
        operands: list[Tensor] = []

        def product(linear: int, a_BH: Tensor) -> Tensor:
            call = len(operands)
            operands.append(a_BH.detach())
            value: Tensor = _Known.apply(a_BH, values[call], step.weights[call])  # type: ignore[no-untyped-call]
            return value

        with ExitStack() as stack:
            stack.enter_context(torch.enable_grad())
            stack.enter_context(_recording())
            state, values, others = (
                [_leaf(tensor) for tensor in part]
                for part in (step.state, step.values, step.others)
            )
            x_BG = _leaf(step.x_BG)
            new = self._skeleton.step(x_BG, state, others, product)
            found = _gradients(new, step.grads, [x_BG, *state, *values, *others])
        return [*found, *operands]


def _split(tensors: Sequence[Tensor], sizes: Sequence[int]) -> list[list[Tensor]]:
    rest = iter(tensors)
    return [[next(rest) for _ in range(size)] for size in sizes]


def _bare(graph: GraphModule) -> Function:
    """Without what only autograd needed."""
    for node in list(graph.graph.nodes):
        is_same = node.target in (aten.detach.default, aten.alias.default) or (
            node.target is aten.view.default
            and node.meta["val"].shape == node.args[0].meta["val"].shape
        )
        if is_same:
            node.replace_all_uses_with(node.args[0])
    graph.graph.eliminate_dead_code()
    graph.recompile()
    function: Function = graph.forward
    return function


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(tensor.is_floating_point())


def _gradients(
    outputs: Sequence[Tensor], grads: Sequence[Tensor], inputs: Sequence[Tensor]
) -> list[Tensor]:
    """Of all inputs: zeros for those that the outputs do not depend on."""
    pairs = [(out, grad) for out, grad in zip(outputs, grads, strict=True) if out.requires_grad]
    wanted = [tensor for tensor in inputs if tensor.requires_grad]
    found = iter(
        torch.autograd.grad(
            [out for out, _ in pairs],
            wanted,
            [grad for _, grad in pairs],
            allow_unused=True,
            materialize_grads=True,
        )
        if pairs
        else map(torch.zeros_like, wanted)
    )
    return [next(found) if one.requires_grad else torch.zeros_like(one) for one in inputs]


def _recording() -> Any:
    """Autograd records even inside an operator of torch's dispatcher, below which it is off."""
    keys = torch._C.DispatchKey
    excluded = torch._C._dispatch_tls_local_exclude_set()
    for key in (
        keys.AutogradFunctionality,
        keys.AutogradOther,
        keys.AutogradNestedTensor,
        keys.ADInplaceOrView,
    ):
        excluded = excluded.remove(key)
    return torch._C._ForceDispatchKeyGuard(torch._C._dispatch_tls_local_include_set(), excluded)


@final
class _Known(torch.autograd.Function):
    """A product whose value is known: what comes back goes to the value, and through the weight."""

    @staticmethod
    def forward(ctx: Any, a_BH: Tensor, value_BG: Tensor, weight_GH: Tensor) -> Tensor:
        ctx.weight_GH = weight_GH
        return value_BG

    @staticmethod
    def backward(ctx: Any, d_BG: Tensor) -> tuple[Tensor | None, Tensor, None]:
        is_needed = ctx.needs_input_grad[0]
        return operand_gradient(d_BG, ctx.weight_GH) if is_needed else None, d_BG, None
