"""Nodes of a program as lines of Triton: what stands between loads and stores."""

import math
from collections.abc import Callable
from typing import final

from charlab.engine.program import Program

# Made of what both the compiler and Triton's interpreter have, for float32. Near 0, where
# 1 - 2 / (1 + exp 2x) cancels, tanh is an odd polynomial (a least-squares fit of the relative
# error over |x| < 0.6, which leaves 8e-8); log1p makes good what 1 + x has lost. TYPE is bfloat16
# where the operands of products are, and float32 in the interpreter, which cannot multiply others.
PRELUDE = """\
import triton
import triton.language as tl


@triton.jit
def sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def tanh(x):
    square = x * x
    tail = 0.1333181 + square * (-0.0537734 + square * (0.02075834 - square * 0.00584859))
    small = x + x * square * (-0.33333294 + square * tail)
    large = 1.0 - 2.0 / (1.0 + tl.exp(2.0 * tl.abs(x)))
    return tl.where(tl.abs(x) < 0.6, small, tl.where(x < 0.0, -large, large))


@triton.jit
def log1p(x):
    sum = 1.0 + x
    near = tl.where(sum == 1.0, x, tl.log(sum) * (x / (sum - 1.0)))
    return tl.where(x > 1e8, tl.log(x), near)


@triton.jit
def operand(x, NARROW: tl.constexpr, TYPE: tl.constexpr):
    if NARROW:
        x = x.to(tl.bfloat16)
    return x.to(TYPE)
"""

EXPRESSIONS = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "neg": "-{}",
    "abs": "tl.abs({})",
    "exp": "tl.exp({})",
    "log": "tl.log({})",
    "log1p": "log1p({})",
    "sqrt": "tl.sqrt({})",
    "tanh": "tanh({})",
    "sigmoid": "sigmoid({})",
    "maximum": "tl.maximum({}, {}, propagate_nan=tl.PropagateNan.ALL)",
    "minimum": "tl.minimum({}, {}, propagate_nan=tl.PropagateNan.ALL)",
    "gt": "({} > {}).to(tl.float32)",
    "ge": "({} >= {}).to(tl.float32)",
    "lt": "({} < {}).to(tl.float32)",
    "le": "({} <= {}).to(tl.float32)",
    "eq": "({} == {}).to(tl.float32)",
    "ne": "({} != {}).to(tl.float32)",
    "where": "tl.where({} != 0.0, {}, {})",
}


@final
class Lines:
    """Lines of a kernel that give nodes a name, each one once, what they are made of first.

    lines   where they are written
    load    the expression that reads a node from memory; None for one that has to be computed
    shape   of the tile in which all values are, as Triton code
    suffix  of the names
    """

    def __init__(
        self,
        program: Program,
        lines: list[str],
        load: Callable[[int], str | None],
        shape: str,
        suffix: str = "",
    ) -> None:
        self._lines = lines
        self._program = program
        self._load = load
        self._shape = shape
        self._suffix = suffix
        self._names: dict[int, str] = {}

    def name(self, node: int, expression: str) -> str:
        """From here on the node is what the expression gives."""
        self._names[node] = name = f"n{node}{self._suffix}"
        self._lines.append(f"{name} = {expression}")
        return name

    def value(self, node: int) -> str:
        """The name of the node."""
        if node in self._names:
            return self._names[node]
        op, args = self._program.nodes[node]
        loaded = self._load(node)
        if loaded is not None:
            return self.name(node, loaded)
        if op == "const":
            number = repr(args[0]) if math.isfinite(args[0]) else f'float("{args[0]}")'
            return self.name(node, f"tl.full({self._shape}, {number}, tl.float32)")
        operands = [self.value(operand) for operand in self._program.nodes[node].operands]
        return self.name(node, EXPRESSIONS[op].format(*operands))

    def total(self, nodes: list[int]) -> str:
        """The sum of the nodes, as an expression."""
        return " + ".join(self.value(node) for node in nodes)
