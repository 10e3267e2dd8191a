"""How a program is cut into passes for a GPU, and where values stand between them.

A step goes forward in pointwise passes with matrix products between them, and back in others. Both
ways of running it (`steps`, `loop`) follow one plan and store the same arrays, in which blocks of
H columns stand side by side:

    gates    [T, B, gates * H]    W x + b
    kept     [T, B, kept * H]     values of the forward that the backward reads
    new p    [T, B, H]            part p of the state after each step; y for p = 0
    d        [T, B, columns * H]  gradients of the gates, then of products that are not among them
    e        [T, B, sums * H]     what each unit adds to the gradients of other parameters
    source g [T, B, H]            input of product g, where that is neither state nor kept
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple, final

from charlab.engine.program import COSTLY, Program

VALUES_OF_NO_STEP = ("const", "vector", "scalar")


@final
class Group(NamedTuple):
    """Recurrent products of one and the same node, made as one.

    stage   number of the pass that gives the node
    source  the node
    calls   numbers of the calls; their blocks stand side by side in this order
    blocks  how many blocks that makes
    """

    stage: int
    source: int
    calls: tuple[int, ...]
    blocks: int


@final
class BackwardPass(NamedTuple):
    """Additions to gradients that are made in one pass.

    stage   of the groups, `Plan.last_pass` for the first pass
    groups  groups whose gradient in their source enters here: none in the first pass
    adds    (leaf, node) as in `charlab.engine.program.Backward`
    """

    stage: int
    groups: tuple[int, ...]
    adds: tuple[tuple[int, int], ...]


@final
class Plan:
    """Groups, passes and columns of a program.

    biased: numbers of the linears with a bias. keep: nodes of the forward from which the backward
    can be computed, and from states, parameters and inputs of products.

    groups         in the order of their stages
    last_pass      number of the forward pass that gives the new state
    place          call -> group, first block in it
    kept           nodes of the columns of `kept`
    recomputed     groups whose source the backward computes anew, from what it reads
    stored         node that the backward reads -> array, its blocks, which one of them it is
    histories      parts of the state, besides the first, that are stored for each step
    back           passes of the backward
    direct         group -> part of the state to whose gradient that in the source is just added
    contributions  leaf -> (pass of `back`, node that it adds)
    columns        leaf of each column of `d`, None where the gradient is nought
    first_column   of each group in `d`
    partial        columns of `d` to which several passes add
    sums           leaves of the columns of `e`
    """

    def __init__(self, program: Program, keep: Iterable[int], biased: Collection[int]) -> None:
        self.program = program
        self.groups = _groups(program)
        self.last_pass = 1 + max((group.stage for group in self.groups), default=-1)
        self.place: dict[int, tuple[int, int]] = {}
        for number, group in enumerate(self.groups):
            block = 0
            for call in group.calls:
                self.place[call] = number, block
                block += self.blocks_of(call)
        self.biased = tuple(
            number
            for number, group in enumerate(self.groups)
            if any(program.calls[call].linear in biased for call in group.calls)
        )

        self._past = {node: f"new{part}" for part, node in enumerate(program.new_state)}
        for part in range(program.num_states):
            if (leaf := self.leaf("state", part)) is not None:
                self._past[leaf] = f"state{part}"
        self.kept, self.recomputed = self._sort_kept(keep)
        self.back, self.direct = self._backward()
        self.contributions: dict[int, list[tuple[int, int]]] = {}
        for number, one in enumerate(self.back):
            for leaf, node in one.adds:
                self.contributions.setdefault(leaf, []).append((number, node))
        self.columns, self.first_column = self._columns()
        self.partial = tuple(
            column
            for column, leaf in enumerate(self.columns)
            if len({number for number, _ in self.adds_to(leaf)}) > 1
        )
        self.sums = tuple(
            leaf for leaf in self.contributions if program.nodes[leaf].op in ("vector", "scalar")
        )
        self.stored = self._stored()
        sources = [self._past.get(group.source, "") for group in self.groups]
        pasts = {array for array, _, _ in self.stored.values()} | set(sources)
        self.histories = tuple(
            part for part in range(1, program.num_states) if {f"state{part}", f"new{part}"} & pasts
        )

    def blocks_of(self, call: int) -> int:
        return self.program.linears[self.program.calls[call].linear]

    def leaf(self, op: str, *args: int) -> int | None:
        """The node of a leaf; None where nothing reads it."""
        found = (i for i, node in enumerate(self.program.nodes) if node == (op, args))
        return next(found, None)

    def pass_of(self, node: int) -> int:
        """Number of the first forward pass that can compute the node."""
        leaves = [self.program.nodes[index] for index in self.program.needed([node])]
        calls = [int(leaf.args[0]) for leaf in leaves if leaf.op == "product"]
        return max((1 + self.groups[self.place[call][0]].stage for call in calls), default=0)

    def source_part(self, number: int) -> int | None:
        """The part of the old state that a group reads; None for another node."""
        op, args = self.program.nodes[self.groups[number].source]
        return int(args[0]) if op == "state" else None

    def past(self, node: int) -> str:
        """The array of a node that is a part of the state, before the step or after it."""
        return self._past[node]

    def _sort_kept(self, keep: Iterable[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Nodes to keep, and groups whose source costs nothing to compute from those."""
        nodes = self.program.nodes
        kept = {n for n in keep if n not in self._past and nodes[n].op not in VALUES_OF_NO_STEP}
        recomputed = []
        for number, group in enumerate(self.groups):
            made_of = self.program.needed([group.source], {*kept, *self._past})
            if any(nodes[node].op in COSTLY | {"gate", "product"} for node in made_of):
                kept.add(group.source)
            elif self.source_part(number) is None:
                recomputed.append(number)
        return tuple(sorted(kept)), tuple(number for number in recomputed)

    def _stored(self) -> dict[int, tuple[str, int, int]]:
        places = {node: ("kept", len(self.kept), block) for block, node in enumerate(self.kept)}
        places |= {node: (array, 1, 0) for node, array in self._past.items()}
        roots = [node for one in self.back for _, node in one.adds]
        roots += [self.groups[number].source for number in self.recomputed]
        wanted = self.program.needed(roots, places)
        read = {operand for node in wanted for operand in self.program.nodes[node].operands}
        return {node: place for node, place in places.items() if node in {*read, *roots}}

    def _backward(self) -> tuple[list[BackwardPass], dict[int, int]]:
        """The piece of the new state, then the groups, the last stage first.

        Calls of a group have one source, so the gradients in it are added up, and the piece of one
        of the calls takes the sum.
        """
        first, *rest = self.program.backward
        pieces = {piece.call: piece.adds for piece in rest}
        direct: dict[int, int] = {}
        passes = [BackwardPass(self.last_pass, (), first.adds)]
        for stage in reversed(range(self.last_pass)):
            numbers = []
            for number, group in enumerate(self.groups):
                adds = pieces[group.calls[0]]
                seed = self.leaf("grad_input", group.calls[0])
                if group.stage != stage or not adds:
                    continue
                leaf = self.program.nodes[adds[0][0]]
                if len(adds) == 1 and adds[0][1] == seed and leaf.op == "state":
                    direct[number] = int(leaf.args[0])
                else:
                    numbers.append(number)
            if numbers:
                adds = tuple(add for n in numbers for add in pieces[self.groups[n].calls[0]])
                passes.append(BackwardPass(stage, tuple(numbers), adds))
        return passes, direct

    def _columns(self) -> tuple[list[int | None], list[int]]:
        """A group whose gradients are those of gates side by side needs no columns of its own."""
        columns = [self.leaf("gate", block) for block in range(self.program.num_gates)]
        gates = [self.adds_to(leaf) for leaf in columns]
        first_column = []
        for group in self.groups:
            leaves = [
                self.leaf("product", call, block)
                for call in group.calls
                for block in range(self.blocks_of(call))
            ]
            own = [self.adds_to(leaf) for leaf in leaves]
            starts = range(len(gates) - len(own) + 1)
            same = next((s for s in starts if gates[s : s + len(own)] == own), None)
            first_column.append(len(columns) if same is None else same)
            if same is None:
                columns += leaves
        return columns, first_column

    def adds_to(self, leaf: int | None) -> list[tuple[int, int]]:
        """(pass of the backward, node) of all that is added to the gradient of the leaf."""
        return [] if leaf is None else self.contributions.get(leaf, [])


def _groups(program: Program) -> tuple[Group, ...]:
    stages = program.stage_of_calls()
    calls_of: dict[tuple[int, int], list[int]] = {}
    for number, call in enumerate(program.calls):
        calls_of.setdefault((stages[number], call.source), []).append(number)
    return tuple(
        Group(
            stage,
            source,
            tuple(calls),
            sum(program.linears[program.calls[c].linear] for c in calls),
        )
        for (stage, source), calls in sorted(calls_of.items())
    )
