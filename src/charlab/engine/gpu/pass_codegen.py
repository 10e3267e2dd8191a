"""Triton source of the pointwise passes of one step.

A pass runs over the B * H hidden units of all rows; `count` is how many. Every array that it is
given is that of one step, [B, blocks * H]. Beside those of `charlab.engine.gpu.plan` there are:

    state p       part p of the state before the step; new p is the one after it
    product g     what the products of group g gave, without their bias
    bias g        [blocks * H]
    operand g     what they multiply next
    other i       a further parameter of the cell
    grad_y        gradient in y
    carry p       gradient in part p of the state, but for what comes from y of this step
    grad_input g  gradient in the source of group g
    partial       columns of d to which a later pass adds
"""

from typing import NamedTuple, final

from charlab.engine.gpu.expressions import Lines
from charlab.engine.gpu.plan import Plan

HEAD = """
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    row = at // H
    unit = at % H"""


@final
class Kernel(NamedTuple):
    """The name of a kernel, its source, and the names of the arrays that it is given."""

    name: str
    source: str
    arguments: tuple[str, ...]


@final
class PassWriter:
    """The text of one kernel."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.body: list[str] = []
        self.lines = Lines(plan.program, self.body, self.load, "(BLOCK,)")
        self.stores: list[str] = []
        self.arguments: dict[str, None] = {}
        self.widths: dict[int, None] = {}  # blocks of the arrays
        # nodes that an earlier pass left in memory: the array, its blocks, and which one it is
        self.stored: dict[int, tuple[str, int, int]] = {}

    def address(self, array: str, blocks: int, block: int) -> str:
        self.arguments[array] = None
        self.widths[blocks] = None
        return f"{array} + at{blocks}" + f" + {block} * H" * (block > 0)

    def read(self, array: str, blocks: int = 1, block: int = 0) -> str:
        return f"tl.load({self.address(array, blocks, block)}, mask=inside, other=0.0)"

    def store(self, array: str, blocks: int, block: int, value: str) -> None:
        address = self.address(array, blocks, block)
        self.stores.append(f"tl.store({address}, {value}, mask=inside)")

    def load(self, node: int) -> str | None:
        if node in self.stored:
            return self.read(*self.stored[node])
        op, args = self.plan.program.nodes[node]
        numbers = [int(arg) for arg in args if op != "const"]
        match op:
            case "gate":
                return self.read("gates", self.plan.program.num_gates, numbers[0])
            case "state":
                return self.read(f"state{numbers[0]}")
            case "product":
                return self.product(*numbers)
            case "vector" | "scalar":
                array = f"other{numbers[0]}"
                self.arguments[array] = None
                place = f" + {numbers[1]} * H + unit" if op == "vector" else ""
                return f"tl.load({array}{place}) + tl.full((BLOCK,), 0.0, tl.float32)"
            case "grad_state":
                grad = self.read(f"carry{numbers[0]}")
                return grad if numbers[0] else f"{grad} + {self.read('grad_y')}"
            case "grad_input":
                return self.read(f"grad_input{self.plan.place[numbers[0]][0]}")
        return None

    def product(self, call: int, block: int) -> str:
        number, first = self.plan.place[call]
        read = self.read(f"product{number}", self.plan.groups[number].blocks, first + block)
        if number not in self.plan.biased:
            return read
        self.arguments[f"bias{number}"] = None
        return f"{read} + tl.load(bias{number} + {first + block} * H + unit)"

    def kernel(self, name: str) -> Kernel:
        arguments = (*self.arguments,)
        head = ", ".join((*arguments, "count", "H: tl.constexpr", "BLOCK: tl.constexpr"))
        places = [f"at{blocks} = row * ({blocks} * H) + unit" for blocks in self.widths]
        body = "\n    ".join((HEAD, *places, *self.body, *self.stores))
        source = f'\n\n@triton.jit(do_not_specialize=["count"])\ndef {name}({head}):{body}\n'
        return Kernel(name, source, arguments)


def forward_kernel(plan: Plan, number: int, save: bool) -> Kernel | None:
    """Pass `number` of the forward: inputs of products, or the new state; None if there is none."""
    writer = PassWriter(plan)
    pass_of = {node: plan.pass_of(node) for node in plan.kept}
    column = {node: block for block, node in enumerate(plan.kept)}
    if save:
        for node in plan.kept:
            if pass_of[node] < number:
                writer.stored[node] = "kept", len(plan.kept), column[node]
        for node in plan.kept:
            if pass_of[node] == number:
                writer.store("kept", len(plan.kept), column[node], writer.lines.value(node))
    for index, group in enumerate(plan.groups):
        part = plan.source_part(index)
        if group.stage == number and part is None:
            writer.store(f"operand{index}", 1, 0, writer.lines.value(group.source))
        if number == plan.last_pass and part is not None:  # what the next step multiplies
            new = writer.lines.value(plan.program.new_state[part])
            writer.store(f"operand{index}", 1, 0, new)
    if number == plan.last_pass:
        for part, node in enumerate(plan.program.new_state):
            writer.store(f"new{part}", 1, 0, writer.lines.value(node))
    name = f"forward{number}" + ("_save" if save else "")
    return writer.kernel(name) if writer.stores else None


def backward_kernel(plan: Plan, number: int) -> Kernel:
    """Pass `number` of `plan.back`."""
    writer = PassWriter(plan)
    writer.stored.update(plan.stored)
    nought = "tl.full((BLOCK,), 0.0, tl.float32)"

    def here(leaf: int | None) -> str:
        return writer.lines.total([node for at, node in plan.adds_to(leaf) if at == number])

    for column, leaf in enumerate(plan.columns):
        passes = sorted({at for at, _ in plan.adds_to(leaf)})
        if not passes and number == 0:
            writer.store("d", len(plan.columns), column, nought)
        if number not in passes:
            continue
        value = here(leaf)
        partial = "partial", len(plan.partial), plan.partial.index(column) if len(passes) > 1 else 0
        if number > passes[0]:
            value += f" + {writer.read(*partial)}"
        place = partial if number < passes[-1] else ("d", len(plan.columns), column)
        writer.store(*place, value)
    for column, leaf in enumerate(plan.sums):
        value = here(leaf)
        if value and number > plan.adds_to(leaf)[0][0]:
            value += f" + {writer.read('e', len(plan.sums), column)}"
        if value:
            writer.store("e", len(plan.sums), column, value)
    for part in range(plan.program.num_states):
        value = here(plan.leaf("state", part))
        if number == 0:
            writer.store(f"carry{part}", 1, 0, value or nought)
        elif value:
            writer.store(f"carry{part}", 1, 0, f"{value} + {writer.read(f'carry{part}')}")
    if number == 0:
        for index in plan.recomputed:
            source = writer.lines.value(plan.groups[index].source)
            writer.store(f"source{index}", 1, 0, source)
    return writer.kernel(f"backward{number}")
