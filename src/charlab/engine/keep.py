"""Which values of the forward are kept for the backward, and which are computed again.

A minimum cut between what the forward knows and what the backward wants, as in "Transcending
runtime-memory tradeoffs in checkpointing by being fusion aware" (He & Yu 2023): to keep a value
costs 1, a pass over memory; to compute a costly operation again costs RECOMPUTE; cheap arithmetic
costs nothing. States, parameters and inputs of recurrent products are there anyway.
"""

from charlab.engine.program import COSTLY, Program

RECOMPUTE = 0.6  # of a pass over memory
START, END = -1, -2
# each node is an edge, from where it becomes known to where it is used
KNOWN, USED = 0, 1


def kept_nodes(program: Program) -> tuple[int, ...]:
    """Nodes of the forward to be kept beside states and inputs of products, in their order."""
    import networkx  # takes a moment, which a process without compiled cells need not spend

    sources = [call.source for call in program.calls]
    forward = set(program.needed([*program.new_state, *sources]))
    given = {*program.new_state, *sources}
    given |= {
        index
        for index, node in enumerate(program.nodes)
        if node.op in ("state", "vector", "scalar", "const")
    }
    of_gradient = _nodes_of_gradient(program)
    graph = networkx.DiGraph()
    graph.add_nodes_from((START, END))
    for index, node in enumerate(program.nodes):
        if index in given or index in of_gradient:
            continue
        # what only the backward computes cannot be kept: no capacity is an infinite one
        is_leaf = node.op in ("gate", "product")
        cost = {"capacity": 1.0} if index in forward or is_leaf else {}
        graph.add_edge((index, KNOWN), (index, USED), **cost)
        if is_leaf:
            graph.add_edge(START, (index, KNOWN))
        elif node.op in COSTLY:
            graph.add_edge(START, (index, KNOWN), capacity=RECOMPUTE)
        for operand in set(node.operands) - given:
            graph.add_edge((operand, USED), (index, KNOWN))
    for index in _wanted(program, of_gradient) - given:
        graph.add_edge((index, USED), END)
    _, (before, after) = networkx.minimum_cut(graph, START, END)
    return tuple(
        index
        for index in range(len(program.nodes))
        if (index, KNOWN) in before and (index, USED) in after
    )


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
