"""Triton source of kernels that run all time steps in one launch, forward and backward."""

from collections.abc import Callable

from charlab.engine.gpu.loop_text import LoopWriter
from charlab.engine.gpu.pass_codegen import Kernel
from charlab.engine.gpu.plan import BackwardPass, Plan


def forward_loop(plan: Plan, hidden_size: int, save: bool) -> Kernel:
    """From gates, weights and the first state to the outputs, the final state and what is kept."""
    program = plan.program

    def load(tile: int, node: int) -> str | None:
        op, args = program.nodes[node]
        if op in ("vector", "scalar"):
            return loop.parameter(op, int(args[0]), tile, *(int(arg) for arg in args[1:]))
        if op == "gate":
            return loop.read_step("gates", tile, program.num_gates, int(args[0]))
        if op == "state":
            return f"s{args[0]}_{tile}"
        if op == "product":
            number, first = plan.place[int(args[0])]
            return f"p{number}_{first + int(args[1])}_{tile}"
        return None

    loop = LoopWriter(plan, hidden_size, load)
    gates = [plan.leaf("gate", block) for block in range(program.num_gates)]
    for j in loop.tiles:
        loop.head += [f"s{p}_{j} = {loop.read(f'first{p}', j)}" for p in range(program.num_states)]
        for leaf in gates:  # before the products, which do not wait for them
            if leaf is not None:
                loop.lines[j].value(leaf)
    for number, group in enumerate(plan.groups):
        loop.load_weights(number, transposed=True)
        operands = [
            loop.operand(f"a{number}_{i}", loop.lines[i].value(group.source), i) for i in loop.tiles
        ]
        for block in range(group.blocks):
            for j in loop.tiles:
                name = f"p{number}_{block}_{j}"
                loop.dot(name, [(a, f"w{number}_{block}_{i}_{j}") for i, a in enumerate(operands)])
                if number in plan.biased:
                    loop.arguments[f"bias{number}"] = None
                    at = f"bias{number} + {block} * H + u{j}, mask=u{j} < H, other=0.0"
                    loop.head.append(f"b{name[1:]} = tl.load({at})[None, :]")
                    loop.body.append(f"{name} += b{name[1:]}")
    for j in loop.tiles:
        new = [loop.lines[j].value(node) for node in program.new_state]
        for block, node in enumerate(plan.kept if save else ()):
            loop.store_step("kept", j, len(plan.kept), block, loop.lines[j].value(node))
        for part, name in enumerate(new):
            if part == 0 or (save and part in plan.histories):
                loop.store_step(f"new{part}", j, 1, 0, name)
        for part, name in enumerate(new):
            loop.body.append(f"s{part}_{j} = {name}")
            address = loop.address(f"final{part}", j)
            loop.tail.append(f"tl.store({address}, s{part}_{j}, mask=inside{j})")
    return loop.kernel("forward_loop" + ("_save" if save else ""), forwards=True)


def backward_loop(plan: Plan, hidden_size: int) -> Kernel:
    """From gradients of y and of the final state to d, e, sources, and those of the first state.

    The latter take the place of the former, in `carry`.
    """
    program = plan.program

    def load(tile: int, node: int) -> str | None:
        if node in plan.stored:
            array, blocks, block = plan.stored[node]
            if not array.startswith("state"):
                return loop.read_step(array, tile, blocks, block)
            first = loop.read(f"first{array[5:]}", tile, also=" & (step == T - 1)")
            return f"{loop.read_step(array, tile, 1, 0, ' & (step < T - 1)')} + {first}"
        op, args = program.nodes[node]
        if op in ("vector", "scalar"):
            return loop.parameter(op, int(args[0]), tile, *(int(arg) for arg in args[1:]))
        if op == "grad_state":
            to_y = f" + {loop.read_step('grad_y', tile, 1, 0)}" if args[0] == 0 else ""
            return f"c{args[0]}_{tile}{to_y}"
        if op == "grad_input":
            return f"i{plan.place[int(args[0])][0]}_{tile}"
        return None

    loop = LoopWriter(plan, hidden_size, load)
    parts = range(program.num_states)
    state_leaves = [plan.leaf("state", part) for part in parts]
    sums: dict[tuple[int | None, int], str] = {}  # leaf and tile -> its gradient so far

    def gradient(leaf: int | None, tile: int) -> str:
        return sums.get((leaf, tile), f"tl.full({loop.shape(tile)}, 0.0, tl.float32)")

    def add(leaf: int, tile: int, value: str) -> None:
        name = f"g{leaf}_{tile}"
        so_far = f"{name} + " if (leaf, tile) in sums else ""
        loop.body.append(f"{name} = {so_far}{value}")
        sums[leaf, tile] = name

    for j in loop.tiles:
        loop.head += [f"c{p}_{j} = {loop.read(f'carry{p}', j)}" for p in parts]
        for leaf in [*plan.stored, *(plan.leaf("grad_state", p) for p in parts)]:
            if leaf is not None:  # before the products, which do not wait for them
                loop.lines[j].value(leaf)
    passes = {one.stage: one for one in plan.back}
    for stage in reversed(range(plan.last_pass + 1)):
        one = passes.get(stage, BackwardPass(stage, (), ()))
        for number, group in enumerate(plan.groups):
            if group.stage != stage or number not in {*one.groups, *plan.direct}:
                continue
            source_gradient(loop, number, gradient)
            for j in loop.tiles if number in plan.direct else ():
                add(group.source, j, f"i{number}_{j}")
        for leaf, node in one.adds:
            for j in loop.tiles:
                add(leaf, j, loop.lines[j].value(node))
    for j in loop.tiles:
        for column, leaf in enumerate(plan.columns):
            loop.store_step("d", j, len(plan.columns), column, gradient(leaf, j))
        for column, leaf in enumerate(plan.sums):
            loop.store_step("e", j, len(plan.sums), column, gradient(leaf, j))
        for number in plan.recomputed:
            value = loop.lines[j].value(plan.groups[number].source)
            loop.store_step(f"source{number}", j, 1, 0, value)
        for part in parts:
            loop.body.append(f"c{part}_{j} = {gradient(state_leaves[part], j)}")
            address = loop.address(f"carry{part}", j)
            loop.tail.append(f"tl.store({address}, c{part}_{j}, mask=inside{j})")
    return loop.kernel("backward_loop", forwards=False)


def source_gradient(
    loop: LoopWriter, number: int, gradient: Callable[[int | None, int], str]
) -> None:
    """i{group}_{tile}, the gradient in the source of a group, from those in its products."""
    plan = loop.plan
    group = plan.groups[number]
    first = plan.first_column[number]
    loop.load_weights(number, transposed=False)
    operands = [
        (loop.operand(f"d{number}_{block}_{i}", gradient(leaf, i), i), f"w{number}_{block}_{i}")
        for block, leaf in enumerate(plan.columns[first : first + group.blocks])
        for i in loop.tiles
    ]
    for j in loop.tiles:
        loop.dot(f"i{number}_{j}", [(d, f"{weight}_{j}") for d, weight in operands])
