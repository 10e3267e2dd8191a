"""Writes the nodes of a program: each distinct one once, constants folded."""

from typing import final

from charlab.engine.program import OPERATIONS, Node

COMMUTATIVE = frozenset({"add", "mul", "maximum", "minimum", "eq", "ne"})


@final
class Graph:
    """Nodes in the order in which they were asked for; a node that exists is given again."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._index: dict[Node, int] = {}

    def leaf(self, op: str, *args: int | float) -> int:
        return self._add(Node(op, args))

    def const(self, value: float) -> int:
        return self.leaf("const", float(value))

    def value_of(self, index: int) -> float | None:
        """The number that a node is, where it is a constant."""
        node = self.nodes[index]
        return float(node.args[0]) if node.op == "const" else None

    def apply(self, op: str, *args: int) -> int:
        """The node of an operation on nodes, in its simplest form."""
        values = [self.value_of(arg) for arg in args]
        known = [value for value in values if value is not None]
        if len(known) == len(args):
            return self.const(OPERATIONS[op][1](*known))
        if op in COMMUTATIVE and values[0] is not None:  # the constant second
            args, values = args[::-1], values[::-1]
        elif op in COMMUTATIVE and values[1] is None:
            args = tuple(sorted(args))
        match op, values:
            case ("add" | "sub", [_, 0.0]) | ("mul" | "div", [_, 1.0]):
                return args[0]
            case "sub", [0.0, _]:
                return self.apply("neg", args[1])
            case "mul", [_, -1.0]:
                return self.apply("neg", args[0])
            case "neg", _ if self.nodes[args[0]].op == "neg":
                return int(self.nodes[args[0]].args[0])
            case "where", [chosen, *_] if chosen is not None:
                return args[1] if chosen else args[2]
            case "where", _ if args[1] == args[2]:
                return args[1]
        return self._add(Node(op, args))

    def _add(self, node: Node) -> int:
        if node not in self._index:
            self._index[node] = len(self.nodes)
            self.nodes.append(node)
        return self._index[node]
