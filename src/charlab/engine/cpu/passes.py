"""The elementwise passes of a program as C++ text."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import final

from charlab.engine.cpu.layout import Layout
from charlab.engine.program import Node, Program

# Those that are functions of vectors.h go by their names.
INFIX: Mapping[str, str] = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "abs": "absolute({0})",
    "gt": "truth({0} > {1})",
    "ge": "truth({0} >= {1})",
    "lt": "truth({0} < {1})",
    "le": "truth({0} <= {1})",
    "eq": "truth({0} == {1})",
    "ne": "truth({0} != {1})",
}


def block(array: str, width: int = 1, number: int = 0) -> str:
    """The place of unit j of row r in one of `width` blocks that stand side by side."""
    return f"{array} + (r * {width} + {number}) * H + j"


def leaf_places(program: Program) -> dict[int, str]:
    """Where a forward pass reads the leaves."""
    places = {}
    for index, (op, args) in enumerate(program.nodes):
        numbers = [int(arg) for arg in args] if op != "const" else []
        match op, numbers:
            case "gate", [number]:
                places[index] = block("at.gate", program.num_gates, number)
            case "state", [part]:
                places[index] = block(f"at.state[{part}]")
            case "product", [call, number]:
                width = program.linears[program.calls[call].linear]
                places[index] = block(f"at.product[{call}]", width, number)
            case "vector", [other, number]:
                places[index] = f"at.other[{other}] + {number} * H + j"
    return places


@final
class Pass:
    """Statements for units j, j + 1, ... of row r: values in the order of need, then stores.

    places: where nodes can be read, in place of being computed
    """

    def __init__(self, program: Program, places: Mapping[int, str]) -> None:
        self._program = program
        self._places = places
        self._named: set[int] = set()
        self._lines: list[str] = []
        self._stores: list[str] = []

    def value(self, root: int) -> str:
        """The name of the vector that holds a node."""
        stack = [root]
        while stack:
            index = stack[-1]
            place = self._places.get(index)
            operands = () if place else self._program.nodes[index].operands
            missing = [operand for operand in operands if operand not in self._named]
            if missing and index not in self._named:
                stack += reversed(missing)
                continue
            stack.pop()
            if index not in self._named:
                text = f"get({place})" if place else _expression(self._program.nodes[index])
                self.define(index, text)
        return f"v{root}"

    def define(self, index: int, text: str) -> None:
        """The node is the value of this text."""
        self._named.add(index)
        self._lines.append(f"const V v{index} = {text};")

    def store(self, place: str, value: str) -> None:
        self._stores.append(f"put({place}, {value});")

    def store_if(self, condition: str, pairs: Iterable[tuple[str, str]]) -> None:
        stores = " ".join(f"put({place}, {value});" for place, value in pairs)
        self._stores.append(f"if ({condition}) {{ {stores} }}")

    def text(self, name: str) -> str:
        """A function over a block of rows: whole vectors, then what is left of a row."""
        body = "\n".join(f"  {line}" for line in [*self._lines, *self._stores])
        return f"""
template <bool PART>
INLINE void {name}_at(const Step& at, long r, long j, long count) {{
  auto get = [&](const S* from) {{ return PART ? load_part(from, count) : load(from); }};
  auto put = [&](S* to, V value) {{ PART ? store_part(to, value, count) : store(to, value); }};
  const long H = at.H;
  (void)get, (void)put, (void)H, (void)r, (void)j;
{body}
}}
static void {name}(const Step& at) {{
  for (long r = 0; r < at.rows; r++) {{
    long j = 0;
    for (; j + LANES <= at.H; j += LANES) {name}_at<false>(at, r, j, LANES);
    if (j < at.H) {name}_at<true>(at, r, j, at.H - j);
  }}
}}"""


def _expression(node: Node) -> str:
    if node.op == "const":
        number = float(node.args[0])
        if math.isfinite(number):
            return f"fill(S({number!r}))"
        return "fill(S(NAN))" if math.isnan(number) else f"fill(S({'-' * (number < 0)}INFINITY))"
    if node.op == "scalar":
        return f"fill(at.other[{node.args[0]}][0])"
    names = [f"v{operand}" for operand in node.operands]
    form = INFIX.get(node.op)
    return form.format(*names) if form else f"{node.op}({', '.join(names)})"


def forward(layout: Layout) -> Iterator[str]:
    """forward_pass(number, at): inputs of products, and at the end the new state."""
    program = layout.program
    carried = {
        node: block("at.carried", len(layout.carried), k) for k, node in enumerate(layout.carried)
    }
    saved = {node: block("at.saved", len(layout.saved), k) for k, node in enumerate(layout.saved)}
    there: set[int] = set()
    cases = []
    for number, roots in enumerate(layout.roots):
        if not roots:
            continue
        places = leaf_places(program) | {node: carried[node] for node in there & carried.keys()}
        one = Pass(program, places)
        for target, node, is_input in layout.targets(number):
            value = one.value(node)
            one.store(
                block(target), f"at.narrow ? narrowed({value}) : {value}" if is_input else value
            )
        needed = set(program.needed(roots))
        for node in sorted(needed & carried.keys() - there):
            one.store(carried[node], one.value(node))
        if layout.saved_by[number]:
            one.store_if("at.saved", [(saved[n], one.value(n)) for n in layout.saved_by[number]])
        there |= needed
        cases.append(number)
        yield one.text(f"forward_{number}")
    yield _switch("forward_pass", "forward", cases)


def backward(layout: Layout) -> Iterator[str]:
    """backward_piece(number, at): what each piece adds to gradients."""
    program, nodes = layout.program, layout.program.nodes
    places = {
        index: place
        for index, place in leaf_places(program).items()
        if nodes[index].op in ("state", "vector")
    }
    for part, node in enumerate(program.new_state):
        places.setdefault(node, block(f"at.new_state[{part}]"))
    for column, kept in enumerate(layout.saved):
        places.setdefault(kept, block("at.saved", len(layout.saved), column))
    for index, (op, args) in enumerate(nodes):
        if op == "grad_input":
            places[index] = block(f"at.d_input[{int(args[0])}]")
    cases = []
    written: set[str] = set()
    for number, piece in enumerate(program.backward):
        if layout.straight[number] is not None:
            continue
        one = Pass(program, places)
        if piece.call is None:
            for index, (op, args) in enumerate(nodes):
                if op == "grad_state":
                    one.define(index, _gradient_of_state(int(args[0])))
        gradients: dict[str, str] = {}
        for leaf, added in piece.adds:
            gradients[_target(layout, leaf)] = one.value(added)
        if piece.call is None:
            for part in range(program.num_states):
                gradients.setdefault(block(f"at.d_state[{part}]"), "V{}")
        for target, value in gradients.items():
            is_sum = target in written or target.startswith("at.sums")
            total = f"get({target}) + {value}" if is_sum else value
            is_D = target.startswith("at.D")
            one.store(target, f"at.narrow ? narrowed({total}) : {total}" if is_D else total)
        written |= gradients.keys()
        cases.append(number)
        yield one.text(f"backward_{number}")
    yield _switch("backward_piece", "backward", cases)


def _gradient_of_state(part: int) -> str:
    later = f"get({block(f'at.d_state[{part}]')})"
    return f"{later} + get({block('at.d_y')})" if part == 0 else later


def _target(layout: Layout, leaf: int) -> str:
    op, args = layout.program.nodes[leaf]
    if op == "state":
        return block(f"at.d_state[{int(args[0])}]")
    if op in ("vector", "scalar"):
        return f"at.sums + {layout.sums.index(leaf)} * H + j"
    return block("at.D", layout.num_columns, layout.leaf_column[leaf])


def _switch(name: str, prefix: str, cases: Sequence[int]) -> str:
    lines = [f"    case {number}:\n      return {prefix}_{number}(at);" for number in cases]
    body = (
        "\n".join(["  switch (number) {", *lines, "  }"]) if cases else "  (void)number, (void)at;"
    )
    return f"static void {name}(int number, const Step& at) {{\n{body}\n}}"
