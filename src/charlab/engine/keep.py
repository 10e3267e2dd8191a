"""Which values of the forward are kept for the backward, and which are computed again.

A minimum cut between what the forward knows and what the backward wants, as in "Transcending
runtime-memory tradeoffs in checkpointing by being fusion aware" (He & Yu 2023): to keep a value
costs 1, a pass over memory; to compute a costly operation again costs RECOMPUTE; cheap arithmetic
costs nothing. States, parameters and inputs of recurrent products are there anyway.
"""

import math

from charlab.engine.program import COSTLY, Program

RECOMPUTE = 0.6  # of a pass over memory
# each node is an edge, from where it becomes known to where it is used
Place = tuple[int, int]
Capacities = dict[Place, dict[Place, float]]
KNOWN, USED = 0, 1
START, END = (-1, KNOWN), (-1, USED)


def kept_nodes(program: Program) -> tuple[int, ...]:
    """Nodes of the forward to be kept beside states and inputs of products, in their order."""
    sources = [call.source for call in program.calls]
    forward = set(program.needed([*program.new_state, *sources]))
    given = {*program.new_state, *sources}
    given |= {
        index
        for index, node in enumerate(program.nodes)
        if node.op in ("state", "vector", "scalar", "const")
    }
    of_gradient = _nodes_of_gradient(program)
    graph: Capacities = {}

    def edge(tail: Place, head: Place, capacity: float = math.inf) -> None:
        graph.setdefault(tail, {})[head] = capacity

    for index, node in enumerate(program.nodes):
        if index in given or index in of_gradient:
            continue
        is_leaf = node.op in ("gate", "product")
        # what only the backward computes cannot be kept
        edge((index, KNOWN), (index, USED), 1.0 if index in forward or is_leaf else math.inf)
        if is_leaf:
            edge(START, (index, KNOWN))
        elif node.op in COSTLY:
            edge(START, (index, KNOWN), RECOMPUTE)
        for operand in set(node.operands) - given:
            edge((operand, USED), (index, KNOWN))
    for index in _wanted(program, of_gradient) - given:
        edge((index, USED), END)
    before = before_cut(graph, START, END)
    return tuple(
        index
        for index in range(len(program.nodes))
        if (index, KNOWN) in before and (index, USED) not in before
    )


def before_cut(capacities: Capacities, start: Place, end: Place) -> set[Place]:
    """The places on the side of the start of a minimum cut (Edmonds & Karp 1972).

    A library for graphs would take longer to load than all else that a cell needs.
    """
    left = {tail: dict(heads) for tail, heads in capacities.items()}
    while True:
        came_from = {start: start}
        queue = [start]
        for tail in queue:
            for head, capacity in left.get(tail, {}).items():
                if capacity > 0 and head not in came_from:
                    came_from[head] = tail
                    queue.append(head)
        if end not in came_from:
            return set(came_from)
        path, head = [], end
        while head != start:
            path.append((came_from[head], head))
            head = came_from[head]
        flow = min(left[tail][head] for tail, head in path)
        assert flow < math.inf, "something is needed that can be neither kept nor computed again"
        for tail, head in path:
            left[tail][head] -= flow
            left.setdefault(head, {})[tail] = left.get(head, {}).get(tail, 0.0) + flow


def _nodes_of_gradient(program: Program) -> set[int]:
    """What cannot be computed before the backward."""
    found: set[int] = set()
    for index, node in enumerate(program.nodes):
        if node.op in ("grad_state", "grad_input") or found.intersection(node.operands):
            found.add(index)
    return found


def _wanted(program: Program, of_gradient: set[int]) -> set[int]:
    """Values of the forward that the backward reads."""
    added = {node for piece in program.backward for _, node in piece.adds}
    read = {
        operand
        for index in program.needed(added)
        if index in of_gradient
        for operand in program.nodes[index].operands
    }
    return (added | read) - of_gradient
