"""Which operations of torch are elementwise, as expressions of nodes.

What is not here is tried by torch's own decomposition into simpler operations.
"""

from collections.abc import Callable
from typing import Any

import torch

from charlab.engine.graph import Graph

aten: Any = torch.ops.aten

# An operand is a node; a number that was given in place of a tensor is a constant node.
Lower = Callable[..., int]


def _add(g: Graph, a: int, b: int, alpha: float = 1) -> int:
    return g.apply("add", a, g.apply("mul", b, g.const(alpha)))


def _sub(g: Graph, a: int, b: int, alpha: float = 1) -> int:
    return g.apply("sub", a, g.apply("mul", b, g.const(alpha)))


def _power(g: Graph, a: int, exponent: int) -> int:
    number = g.value_of(exponent)
    if number is not None and number.is_integer() and 0 <= number <= 8:
        made = g.const(1)
        for _ in range(int(number)):
            made = g.apply("mul", a, made)
        return made
    if number in (0.5, -0.5, -1.0):
        root = a if number == -1 else g.apply("sqrt", a)
        return root if number == 0.5 else g.apply("div", g.const(1), root)
    raise KeyError(f"a power of {number}")


def _clamp(g: Graph, a: int, low: int | None = None, high: int | None = None) -> int:
    if low is not None:
        a = g.apply("maximum", a, low)
    return a if high is None else g.apply("minimum", a, high)


def _threshold_backward(g: Graph, grad: int, a: int, threshold: int) -> int:
    return g.apply("where", g.apply("le", a, threshold), g.const(0), grad)


def _sigmoid_backward(g: Graph, grad: int, y: int) -> int:
    slope = g.apply("mul", y, g.apply("sub", g.const(1), y))
    return g.apply("mul", grad, slope)


def _tanh_backward(g: Graph, grad: int, y: int) -> int:
    return g.apply("mul", grad, g.apply("sub", g.const(1), g.apply("mul", y, y)))


def _sign(g: Graph, a: int) -> int:
    below = g.apply("where", g.apply("lt", a, g.const(0)), g.const(-1), g.const(0))
    return g.apply("where", g.apply("gt", a, g.const(0)), g.const(1), below)


def _addcmul(g: Graph, a: int, b: int, c: int, value: float = 1) -> int:
    return _add(g, a, g.apply("mul", b, c), alpha=value)


def _plain(op: str) -> Lower:
    return lambda g, *args: g.apply(op, *args)


ELEMENTWISE: dict[Any, Lower] = {
    aten.add.Tensor: _add,
    aten.add.Scalar: _add,
    aten.sub.Tensor: _sub,
    aten.sub.Scalar: _sub,
    aten.rsub.Tensor: lambda g, a, b, alpha=1: _sub(g, b, a, alpha),
    aten.rsub.Scalar: lambda g, a, b, alpha=1: _sub(g, b, a, alpha),
    aten.reciprocal.default: lambda g, a: g.apply("div", g.const(1), a),
    aten.rsqrt.default: lambda g, a: g.apply("div", g.const(1), g.apply("sqrt", a)),
    aten.pow.Tensor_Scalar: _power,
    aten.relu.default: lambda g, a: g.apply("maximum", a, g.const(0)),
    aten.clamp.default: _clamp,
    aten.clamp.Tensor: _clamp,
    aten.clamp_min.default: _clamp,
    aten.clamp_max.default: lambda g, a, high: _clamp(g, a, None, high),
    aten.sign.default: _sign,
    aten.sgn.default: _sign,
    aten.addcmul.default: _addcmul,
    aten.threshold_backward.default: _threshold_backward,
    aten.sigmoid_backward.default: _sigmoid_backward,
    aten.tanh_backward.default: _tanh_backward,
    aten.masked_fill.Scalar: lambda g, a, mask, value: g.apply("where", mask, value, a),
    aten.logical_and.default: _plain("mul"),
    aten.logical_or.default: _plain("maximum"),
    aten.logical_not.default: lambda g, a: g.apply("sub", g.const(1), a),
    aten.bitwise_and.Tensor: _plain("mul"),
    aten.bitwise_or.Tensor: _plain("maximum"),
    aten.bitwise_not.default: lambda g, a: g.apply("sub", g.const(1), a),
    aten.where.self: _plain("where"),
    aten.where.ScalarSelf: _plain("where"),
    aten.where.ScalarOther: _plain("where"),
    **{
        getattr(aten, name).default: _plain(name)
        for name in ("neg", "abs", "exp", "log", "log1p", "sqrt", "tanh", "sigmoid")
    },
    **{getattr(aten, name).default: _plain(name) for name in ("maximum", "minimum")},
    **{
        getattr(getattr(aten, name), kind): _plain(name)
        for name in ("mul", "div", "gt", "ge", "lt", "le", "eq", "ne")
        for kind in ("Tensor", "Scalar")
    },
}

# operations that give one and the same number everywhere
CONSTANTS = frozenset(
    {
        *(getattr(aten, name).default for name in ("zeros", "zeros_like", "new_zeros")),
        *(getattr(aten, name).default for name in ("ones", "ones_like", "new_ones")),
        *(getattr(aten, name).default for name in ("full", "full_like", "new_full")),
        aten.scalar_tensor.default,
    }
)

# operations whose result is a truth; those that take nothing else
LOGICAL = frozenset(
    {"logical_and", "logical_or", "logical_not", "bitwise_and", "bitwise_or", "bitwise_not"}
)
TRUTHS = frozenset({"gt", "ge", "lt", "le", "eq", "ne"})
# operations that are linear in their first operand
LINEAR = frozenset({"neg", "div", "sigmoid_backward", "tanh_backward", "threshold_backward"})

# operations that move numbers into new memory without changing them
MOVING = frozenset(
    {
        aten.cat.default,
        aten.stack.default,
        aten.clone.default,
        aten.repeat.default,
    }
)

# memory that nothing has been written to
EMPTY = frozenset(
    {
        aten.empty.memory_format,
        aten.empty_like.default,
        aten.empty_permuted.default,
        aten.empty_strided.default,
        aten.new_empty.default,
    }
)
