"""Where the values of a program stand while the compiled engine runs it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, final

from charlab.engine.keep import kept_nodes
from charlab.engine.program import COSTLY, Backward, Program


@final
class Run(NamedTuple):
    """Blocks of a product that stand side by side among the columns of D.

    column: the first of them in D. block: the first of them in the product. blocks: how many.
    """

    column: int
    block: int
    blocks: int


@final
class Layout:
    """The passes of a step, and the columns of what is stored.

    source_state part of the old state that a call reads, None where a pass computes its input
    call_pass    number of the pass before each call; the last pass gives the new state
    roots        for each pass the nodes it has to give
    carried      costly nodes that a later pass needs again
    saved        nodes of the columns of `saved`: inputs of products, then what is kept
    saved_by     for each pass the saved nodes that it stores
    leaf_column  column of D that holds the gradient of a gate or product, if it has one
    num_columns  columns of D
    sums         leaves of vectors and scalars with a gradient
    straight     for each piece the part of the state that gets the gradient of its call as it is
    runs         of the input product, then of each call
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        nodes = program.nodes
        self.source_state = [
            int(nodes[call.source].args[0]) if nodes[call.source].op == "state" else None
            for call in program.calls
        ]
        self.call_pass = program.stage_of_calls()
        self.num_passes = max(self.call_pass, default=-1) + 2
        self.roots = [
            sorted({node for _, node, _ in self.targets(number)})
            for number in range(self.num_passes)
        ]
        self._share()
        self._save()
        self._columns()
        self.sums = sorted(
            {
                leaf
                for piece in program.backward
                for leaf, _ in piece.adds
                if nodes[leaf].op in ("vector", "scalar")
            }
        )
        self.straight = [self._straight(piece) for piece in program.backward]
        self.runs = self._all_runs()

    def _share(self) -> None:
        needed = [set(self.program.needed(roots)) for roots in self.roots]
        self.carried: list[int] = []
        for index, node in enumerate(self.program.nodes):
            if node.op in COSTLY and sum(index in one for one in needed) > 1:
                self.carried.append(index)

    def _save(self) -> None:
        computed = [
            call.source
            for call, state in zip(self.program.calls, self.source_state, strict=True)
            if state is None
        ]
        self.saved = list(dict.fromkeys([*computed, *kept_nodes(self.program)]))
        done: set[int] = set()
        self.saved_by: list[list[int]] = []
        for roots in self.roots:
            mine = set(self.program.needed(roots)) & set(self.saved) - done
            self.saved_by.append(sorted(mine))
            done |= mine
        self.saved_by[-1] += sorted(set(self.saved) - done)  # what the backward alone reads

    def _columns(self) -> None:
        """Equal gradients share a column: those of W x and U h, where the step adds the two."""
        nodes = self.program.nodes
        gradient: dict[int, list[tuple[int, int]]] = {}
        for number, piece in enumerate(self.program.backward):
            for leaf, node in piece.adds:
                if nodes[leaf].op in ("gate", "product"):
                    gradient.setdefault(leaf, []).append((number, node))
        leaves = sorted(gradient, key=lambda leaf: (nodes[leaf].op != "gate", nodes[leaf].args))
        column_of: dict[tuple[tuple[int, int], ...], int] = {}
        self.leaf_column = {
            leaf: column_of.setdefault(tuple(gradient[leaf]), len(column_of)) for leaf in leaves
        }
        self.num_columns = len(column_of)

    def _straight(self, piece: Backward) -> int | None:
        nodes = self.program.nodes
        if piece.call is None or len(piece.adds) != 1:
            return None
        ((leaf, node),) = piece.adds
        is_plain = nodes[leaf].op == "state" and nodes[node].op == "grad_input"
        return int(nodes[leaf].args[0]) if is_plain else None

    def targets(self, number: int) -> Iterator[tuple[str, int, bool]]:
        """(array, node, whether it is the input of a product) of what a pass has to give."""
        if number == self.num_passes - 1:
            for part, node in enumerate(self.program.new_state):
                yield f"at.new_state[{part}]", node, False
            return
        for call, (_, source) in enumerate(self.program.calls):
            if self.call_pass[call] == number and self.source_state[call] is None:
                yield f"at.input[{call}]", source, True

    def place_of_input(self, call: int) -> tuple[int, int]:
        """(part of the old state or -1, column of `saved`) of what a call reads."""
        state = self.source_state[call]
        column = self.saved.index(self.program.calls[call].source) if state is None else 0
        return -1 if state is None else state, column

    def _all_runs(self) -> list[list[Run]]:
        program = self.program
        runs = [self._runs([self._leaf("gate", block) for block in range(program.num_gates)])]
        for number, call in enumerate(program.calls):
            blocks = range(program.linears[call.linear])
            runs.append(self._runs([self._leaf("product", number, block) for block in blocks]))
        return runs

    def _leaf(self, op: str, *args: int) -> int | None:
        return next((i for i, node in enumerate(self.program.nodes) if node == (op, args)), None)

    def _runs(self, leaves: Sequence[int | None]) -> list[Run]:
        runs: list[Run] = []
        for block, leaf in enumerate(leaves):
            column = None if leaf is None else self.leaf_column.get(leaf)
            if column is None:
                continue
            last = runs[-1] if runs else None
            if last and (last.column + last.blocks, last.block + last.blocks) == (column, block):
                runs[-1] = last._replace(blocks=last.blocks + 1)
            else:
                runs.append(Run(column, block, 1))
        return runs
