"""A cell's step as a program: recurrent products, and what each hidden unit computes between them.

Every tensor of a step is cut into blocks of H columns, and every block is one node of an
expression graph: what one hidden unit of one row computes. `chunk`, `cat` and slices on gates
leave no trace in it. The graph holds the step and its vector-Jacobian product, which
`charlab.engine.trace` took from autograd. Code generators read nothing else; nothing here knows
torch.

Nodes are stored in an order in which arguments come first, each distinct one once, so equal values
have equal indices.

    leaf       arguments              is
    gate       block                  a block of the input product W x + b
    state      part                   a part of the state before the step
    product    call, block            a block of what a recurrent product gave
    vector     parameter, block       a block of another parameter of the cell, one number a unit
    scalar     parameter              another parameter that is one number
    const      value                  a number
    grad_state part                   gradient of the loss in a part of the state after the step
    grad_input call                   gradient of the loss in the input of a recurrent product

All other nodes are operations of OPERATIONS on nodes.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, final

LEAVES = ("gate", "state", "product", "vector", "scalar", "const", "grad_state", "grad_input")

# operation -> (number of arguments, its value on Python numbers). Comparisons give 0.0 or 1.0;
# where(c, a, b) is a where c is not 0.
OPERATIONS: Mapping[str, tuple[int, Callable[..., float]]] = {
    "add": (2, lambda a, b: a + b),
    "sub": (2, lambda a, b: a - b),
    "mul": (2, lambda a, b: a * b),
    "div": (2, lambda a, b: a / b),
    "neg": (1, lambda a: -a),
    "abs": (1, abs),
    "exp": (1, math.exp),
    "log": (1, math.log),
    "log1p": (1, math.log1p),
    "sqrt": (1, math.sqrt),
    "tanh": (1, math.tanh),
    "sigmoid": (1, lambda a: 0.5 * (1 + math.tanh(0.5 * a))),
    "maximum": (2, max),
    "minimum": (2, min),
    "gt": (2, lambda a, b: float(a > b)),
    "ge": (2, lambda a, b: float(a >= b)),
    "lt": (2, lambda a, b: float(a < b)),
    "le": (2, lambda a, b: float(a <= b)),
    "eq": (2, lambda a, b: float(a == b)),
    "ne": (2, lambda a, b: float(a != b)),
    "where": (3, lambda c, a, b: a if c else b),
}
# Operations that cost as much as a few passes over memory: worth keeping for the backward.
COSTLY = frozenset({"exp", "log", "log1p", "sqrt", "tanh", "sigmoid", "div"})


@final
class Node(NamedTuple):
    """op: a leaf or an operation. args: numbers of a leaf, or indices of nodes."""

    op: str
    args: tuple[int | float, ...]

    @property
    def operands(self) -> tuple[int, ...]:
        return () if self.op in LEAVES else tuple(int(arg) for arg in self.args)


@final
class Call(NamedTuple):
    """One use of a recurrent product: linear number `linear` on the value of node `source`."""

    linear: int
    source: int


@final
class Backward(NamedTuple):
    """One piece of the vector-Jacobian product.

    call    None: from the gradient of the new state. A number: from the gradient in the input of
            that call, which is known once the gradients in its product are whole.
    adds    (leaf, node): the gradient in the leaf gets the value of the node, in addition to what
            other pieces give it. Leaves are gates, states, products, vectors and scalars. Empty for
            a call whose product the loss does not depend on.
    """

    call: int | None
    adds: tuple[tuple[int, int], ...]


@final
class Program(NamedTuple):
    """One step of a cell, and how gradients go back through it.

    num_gates  blocks of the input product
    num_states parts of the state, each [B, H]; the first is the output
    linears    blocks that each recurrent product gives; each reads one block
    others     blocks of each other parameter, 0 for one that is one number; in the order of
               the skeleton's names, as are the linears
    calls      the uses of recurrent products, in the order of the step
    new_state  node of each part of the state after the step
    backward   first the piece of the new state, then one piece a call, the last call first
    """

    nodes: tuple[Node, ...]
    num_gates: int
    num_states: int
    linears: tuple[int, ...]
    others: tuple[int, ...]
    calls: tuple[Call, ...]
    new_state: tuple[int, ...]
    backward: tuple[Backward, ...]

    def needed(self, roots: Iterable[int], known: Iterable[int] = ()) -> list[int]:
        """Nodes that have to be computed for the roots, arguments first; `known` ones are not."""
        wanted, stack, done = set(), list(roots), set(known)
        while stack:
            index = stack.pop()
            if index not in wanted and index not in done:
                wanted.add(index)
                stack.extend(self.nodes[index].operands)
        return sorted(wanted)

    def stage_of_calls(self) -> list[int]:
        """For each call, the number of the pointwise pass after which it can be made.

        Pass 0 knows gates and the old state; pass s also what the calls of stages below s gave.
        """
        stages: list[int] = []
        for call in self.calls:
            leaves = [self.nodes[index] for index in self.needed([call.source])]
            before = [stages[int(leaf.args[0])] for leaf in leaves if leaf.op == "product"]
            stages.append(1 + max(before) if before else 0)
        return stages
