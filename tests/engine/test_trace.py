"""From a step to a program: the program, run on Python numbers, is the step and its gradient."""

import itertools
import random

import pytest
import torch
from torch import nn

from charlab.cells.base import Cell, HiddenState, LSTMState
from charlab.cells.custom_gru import CustomGRU
from charlab.cells.custom_lstm import CustomLSTM
from charlab.cells.custom_rnn import CustomRNN
from charlab.engine.graph import Graph
from charlab.engine.keep import KNOWN, before_cut, kept_nodes
from charlab.engine.program import LEAVES, OPERATIONS, Program
from charlab.engine.trace import NotElementwise, trace_cell

B, H = 2, 3


class OneProduct(Cell):
    """h' = f(x, U h, h) for a function of the test's."""

    gates = ("a", "b")

    def __init__(self, function, *, parameters=(), hidden_size=H):
        super().__init__(hidden_size, hidden_size, "none")
        self.recur = self.recurrent_linear("a", "b")
        self.function = function
        for name, shape in parameters:
            self.register_parameter(name, nn.Parameter(torch.randn(shape) * 0.5))

    def step(self, x_BG, state):
        return HiddenState(self.function(self, x_BG, self.recur(state.h_BH), state.h_BH))


def halves(x):
    return x.chunk(2, -1)


def stacked(cell, x, u, h):
    """Views, slices and moves of every kind."""
    gates = (x + u).view(-1, 2, h.shape[1])
    first, second = gates.unbind(1)
    swapped = torch.cat([second, first], -1)[:, : h.shape[1]]
    return torch.stack([swapped.tanh(), first.sigmoid()], 1)[:, 0] * h.clone().expand_as(h)


STEPS = {
    "add and scale": lambda c, x, u, h: 2 * halves(x)[0] - 0.5 * halves(u)[1] + h / 4,
    "views": stacked,
    "relu": lambda c, x, u, h: (halves(x + u)[0]).relu() + h,
    "clamp": lambda c, x, u, h: (halves(x + u)[0]).clamp(-0.5, 0.5) + halves(u)[1].clamp_min(0),
    "where": lambda c, x, u, h: torch.where(halves(x)[0] > h, halves(u)[0], -halves(u)[1]),
    "masks": lambda c, x, u, h: h.masked_fill((h > 0) & ~(h > 1) | (h < -2), 0.25) * halves(x)[1],
    "maximum": lambda c, x, u, h: torch.maximum(h, halves(x)[0]) - torch.minimum(h, halves(u)[0]),
    "powers": lambda c, x, u, h: halves(x)[0] ** 3 + (halves(u)[0] ** 2 + 1).rsqrt() + h.square(),
    "silu": lambda c, x, u, h: nn.functional.silu(halves(x + u)[0]) + h,
    "softplus": lambda c, x, u, h: (1 + halves(x + u)[0].exp()).log() - h.abs().log1p(),
    "softsign": lambda c, x, u, h: nn.functional.softsign(halves(x + u)[1]) + h,
    "hardtanh": lambda c, x, u, h: nn.functional.hardtanh(halves(x + u)[1], -0.5, 0.5) * h,
    "leaky": lambda c, x, u, h: nn.functional.leaky_relu(halves(x + u)[1], 0.1) + h,
    "lerp": lambda c, x, u, h: h.lerp(halves(x)[0], halves(u)[0].sigmoid()),
    "addcmul": lambda c, x, u, h: torch.addcmul(h, halves(x)[0], halves(u)[1], value=0.5),
    "constants": lambda c, x, u, h: torch.ones_like(h) * 2 - h + torch.tensor(0.5) * halves(u)[0],
    "twice": lambda c, x, u, h: c.recur(halves(u)[1].tanh()).chunk(2, -1)[0] + h * halves(x)[1],
    "a product unused": lambda c, x, u, h: (halves(x)[0] * h).tanh(),
    "a product detached": lambda c, x, u, h: (halves(x)[0] * h + halves(u)[0].detach()).tanh(),
    "a product compared": lambda c, x, u, h: torch.where(halves(u)[0] > 0, halves(x)[1], h),
    "no input": lambda c, x, u, h: halves(u)[0].tanh() + x.detach()[:, :H],
    "times nothing": lambda c, x, u, h: h + 0.0 * (halves(x)[0] / (2 + halves(x)[1].tanh())),
    "infinities": lambda c, x, u, h: h.masked_fill(h > 1, float("inf")).clamp(max=2) + halves(u)[0],
    "truths": lambda c, x, u, h: (h > 0).to(h.dtype) * halves(u)[0] + (h > 1) * halves(x)[1],
    "ignores": lambda c, x, u, h: halves(u)[1].tanh(),
    "keeps": lambda c, x, u, h: h,
    "linear": lambda c, x, u, h: halves(u)[0],
}
OWN = {
    "vector": ([("v", (H,))], lambda c, x, u, h: halves(x + u)[0].tanh() * c.v),
    "two blocks": (
        [("v", (2 * H,))],
        lambda c, x, u, h: (halves(x + u)[0] + h * c.v.chunk(2)[1]).tanh() + c.v.chunk(2)[0],
    ),
    "decay": ([("v", (H,))], lambda c, x, u, h: h * c.v.sigmoid() + halves(x + u)[0].tanh()),
    "number": ([("s", ())], lambda c, x, u, h: h + c.s * halves(x + u)[0].tanh()),
    "number of one": ([("s", (1,))], lambda c, x, u, h: h.tanh() * c.s.exp() + halves(u)[1]),
    "number of all": ([("s", (1,))], lambda c, x, u, h: sum(halves((x + u) * c.s)) - h),
    "number used twice": (
        [("s", ())],
        lambda c, x, u, h: h * (c.s * 2).sigmoid() + c.s * halves(x + u)[0].tanh(),
    ),
    "sign of a sum": ([("v", (H,))], lambda c, x, u, h: (h + c.v).sign() + halves(x + u)[0]),
    "matrix of rows": (
        [("m", (2, H))],
        lambda c, x, u, h: c.m[0] * h + c.m[1] * halves(x + u)[0].sigmoid(),
    ),
}
CELLS = {name: OneProduct(step) for name, step in STEPS.items()}
CELLS |= {name: OneProduct(step, parameters=own) for name, (own, step) in OWN.items()}
CELLS |= {
    f"gru-{bias}-{reset}-{update}": CustomGRU(H, H, bias=bias, reset=reset, update_gate=update)
    for bias in ("both", "none")
    for reset in ("before", "after")
    for update in ("admit", "keep")
}
CELLS |= {
    "lstm": CustomLSTM(H, H, forget_bias=1.0, bias="both"),
    "rnn": CustomRNN(H, H, nonlinearity="tanh", bias="input"),
    "relu rnn": CustomRNN(H, H, nonlinearity="relu", bias="none"),
}


def evaluate(program: Program, leaves: dict, roots) -> dict[int, float]:
    """Values of nodes for one unit of one row; leaves: (op, args) -> number."""
    values: dict[int, float] = {}
    for index in program.needed(roots):
        op, args = program.nodes[index]
        if op == "const":
            values[index] = args[0]
        elif op in LEAVES:
            values[index] = leaves[op, args]
        else:
            values[index] = OPERATIONS[op][1](*(values[arg] for arg in args))
    return values


def run(program: Program, cell: Cell, x_BG, state, grads):
    """One step and its gradients, unit by unit, from nothing but the program."""
    linears = [module for name, module in cell.named_children() if name.startswith("recur")]
    others = [
        parameter
        for name, parameter in cell.named_parameters()
        if not name.startswith(("recur", "input_linear"))
    ]
    places = [(row, unit) for row in range(B) for unit in range(H)]
    leaves: dict = {place: {} for place in places}
    gradient: dict = {place: {} for place in places}
    for row, unit in places:
        mine = leaves[row, unit]
        for block in range(program.num_gates):
            mine["gate", (block,)] = x_BG[row, block * H + unit].item()
        for part in range(program.num_states):
            mine["state", (part,)] = state[part][row, unit].item()
            mine["grad_state", (part,)] = grads[part][row, unit].item()
        for number, (tensor, blocks) in enumerate(zip(others, program.others, strict=True)):
            flat = tensor.detach().flatten()
            if blocks == 0:
                mine["scalar", (number,)] = flat.item()
            for block in range(blocks):
                mine["vector", (number, block)] = flat[block * H + unit].item()

    def tensor_of(node):
        rows = [
            evaluate(program, leaves[row, unit], [node])[node]
            for row in range(B)
            for unit in range(H)
        ]
        return torch.tensor(rows, dtype=torch.float64).view(B, H)

    for call, (linear, source) in enumerate(program.calls):
        product = tensor_of(source) @ linears[linear].weight.detach().T
        if linears[linear].bias is not None:
            product = product + linears[linear].bias.detach()
        for row, unit in places:
            for block in range(program.linears[linear]):
                leaves[row, unit]["product", (call, block)] = product[row, block * H + unit].item()
    after = [tensor_of(node) for node in program.new_state]

    for piece in program.backward:
        if piece.call is not None:
            linear = program.calls[piece.call].linear
            blocks = program.linears[linear]
            d = torch.zeros(B, blocks * H, dtype=torch.float64)
            for row, unit in places:
                for block in range(blocks):
                    d[row, block * H + unit] = gradient[row, unit].get(
                        ("product", (piece.call, block)), 0.0
                    )
            d_input = d @ linears[linear].weight.detach()
            for row, unit in places:
                leaves[row, unit]["grad_input", (piece.call,)] = d_input[row, unit].item()
        for place in places:
            values = evaluate(program, leaves[place], [node for _, node in piece.adds])
            for leaf, node in piece.adds:
                key = tuple(program.nodes[leaf])
                gradient[place][key] = gradient[place].get(key, 0.0) + values[node]

    d_x = torch.zeros_like(x_BG)
    d_state = [torch.zeros_like(part) for part in state]
    d_others = [torch.zeros(tensor.numel(), dtype=torch.float64) for tensor in others]
    for (row, unit), found in gradient.items():
        for (op, args), value in found.items():
            match op:
                case "gate":
                    d_x[row, args[0] * H + unit] += value
                case "state":
                    d_state[args[0]][row, unit] += value
                case "vector":
                    d_others[args[0]][args[1] * H + unit] += value
                case "scalar":
                    d_others[args[0]] += value
    return after, [d_x, *d_state, *(d.view(p.shape) for d, p in zip(d_others, others))]


@pytest.mark.parametrize("name", CELLS)
def test_a_program_is_the_step_and_its_gradient(name):
    torch.manual_seed(1)
    cell = CELLS[name].double()
    program = trace_cell(cell)
    x_BG = torch.randn(B, program.num_gates * H, dtype=torch.float64, requires_grad=True)
    zeros = cell.initial_state(B)
    state = [torch.randn(B, H, dtype=torch.float64, requires_grad=True) for _ in zeros]
    grads = [torch.randn(B, H, dtype=torch.float64) for _ in state]
    others = [
        parameter
        for own, parameter in cell.named_parameters()
        if not own.startswith(("recur", "input_linear"))
    ]
    expected = cell.step(x_BG, type(zeros)(*state))
    found, gradients = run(program, cell, x_BG.detach(), [s.detach() for s in state], grads)
    torch.testing.assert_close(found, [part.detach() for part in expected], rtol=0, atol=1e-12)
    wanted = torch.autograd.grad(
        list(expected), [x_BG, *state, *others], grads, allow_unused=True, materialize_grads=True
    )
    torch.testing.assert_close(gradients, list(wanted), rtol=0, atol=1e-12)


def test_a_gate_and_its_product_share_one_gradient():
    """As the step adds the two: what the engine stores once."""
    program = trace_cell(CELLS["lstm"])
    adds = dict(program.backward[0].adds)
    by_leaf = {tuple(program.nodes[leaf]): node for leaf, node in adds.items()}
    for block in range(4):
        assert by_leaf["gate", (block,)] == by_leaf["product", (0, block)]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("gru-both-after-keep", ["sigmoid", "sigmoid", "product", "tanh"]),
        ("gru-none-before-admit", ["sigmoid", "sigmoid", "tanh"]),
        ("lstm", ["sigmoid", "sigmoid", "tanh", "sigmoid"]),
        ("rnn", []),
        ("relu rnn", []),
    ],
)
def test_what_is_kept_is_what_formulas_by_hand_keep(name, kept):
    """Activated gates, and what the reset gate multiplies; tanh of an LSTM's memory is cheap."""
    program = trace_cell(CELLS[name])
    assert [program.nodes[index].op for index in kept_nodes(program)] == kept


class Centred(torch.autograd.Function):
    """A gradient that knows of other rows."""

    @staticmethod
    def forward(ctx, a):
        return a.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad - grad.sum(0, keepdim=True)


class Batchwise(Cell):
    gates = ("a",)

    def __init__(self, step):
        super().__init__(H, H, "none")
        self.recur = self.recurrent_linear("a")
        self.how = step

    def step(self, x_BG, state):
        return HiddenState(self.how(self, x_BG + self.recur(state.h_BH)))


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (lambda c, a: a.softmax(-1), "softmax"),
        (lambda c, a: a - a.mean(-1, keepdim=True), "mean|sum"),
        (lambda c, a: a @ torch.eye(H, dtype=a.dtype), "eye"),
        (lambda c, a: nn.functional.layer_norm(a, (H,)), "layer_norm"),
        (lambda c, a: a.T.reshape(-1, H), "row or their hidden unit"),
        (lambda c, a: a.flip(-1), "flip"),
        (lambda c, a: a[:, 1:] + a[:, :1], "different units"),
        (lambda c, a: a + a[:1], "different units or rows"),
        (lambda c, a: nn.functional.dropout(a, 0.5), "random"),
        (lambda c, a: a if a.sum() > 0 else -a, "sum|value"),
        (lambda c, a: a if bool((a > 0)[0, 0]) else -a, "looks at the value"),
        (lambda c, a: a.clone().mul_(2), "in place"),
        (lambda c, a: a.cumsum(-1), "cumsum"),
        (lambda c, a: a[:, :1].expand_as(a), "row or their hidden unit"),
        (lambda c, a: torch.cat([a[:, :1], a[:, 1:].tanh()], -1), "computed alike"),
        (lambda c, a: a[:, :2], "numbers a row"),
        (lambda c, a: a / a.shape[0], "number of rows"),
        (lambda c, a: torch.logical_or(a, a > 0) * a, "logical_or of"),
        (lambda c, a: ((a > 0) + (a > 1)) * a, "add of torch.bool"),
        (lambda c, a: a * torch.full_like(a, 1.7, dtype=torch.long), "mul of"),
        (lambda c, a: Centred.apply(a), "units or rows"),
    ],
)
def test_what_is_not_elementwise_is_refused_with_its_reason(how, reason):
    with pytest.raises(NotElementwise, match=reason):
        trace_cell(Batchwise(how))


def test_a_state_of_another_kind_is_refused():
    class TwoForOne(Cell):
        gates = ("a",)

        def step(self, x_BG, state):
            return LSTMState(x_BG.tanh(), state.h_BH)

    with pytest.raises(NotElementwise, match="2 parts, not of 1"):
        trace_cell(TwoForOne(H, H, "none"))


@pytest.mark.parametrize("width", [(), (1,)])
def test_a_part_of_the_state_of_another_shape_is_refused(width):
    class Counting(Cell):
        gates = ("a",)

        def initial_state(self, batch_size):
            return LSTMState(torch.zeros(batch_size, H), torch.zeros(batch_size, *width))

        def step(self, x_BG, state):
            return LSTMState(x_BG.tanh(), state.c_BH + 1)

    with pytest.raises(NotElementwise, match="not all"):
        trace_cell(Counting(H, H, "none"))


def test_a_minimum_cut_is_that_of_a_library():
    """networkx comes with torch."""
    import networkx

    chance = random.Random(1)
    for _ in range(200):
        places = [(number, KNOWN) for number in range(8)]
        capacities: dict = {}
        for tail, head in itertools.permutations(places, 2):
            if chance.random() < 0.35:
                capacities.setdefault(tail, {})[head] = chance.choice([0.6, 1.0, 2.0])
        graph = networkx.DiGraph()
        graph.add_nodes_from(places)
        for tail, heads in capacities.items():
            graph.add_weighted_edges_from(((tail, h, c) for h, c in heads.items()), "capacity")
        side = before_cut(capacities, places[0], places[-1])
        assert places[0] in side and places[-1] not in side
        cut = sum(c for t in side for h, c in capacities.get(t, {}).items() if h not in side)
        assert cut == pytest.approx(networkx.minimum_cut_value(graph, places[0], places[-1]))


def test_tracing_leaves_the_cell_as_it_was():
    cell = CustomGRU(H, H, bias="both", reset="after", update_gate="keep").eval()
    before = {name: tensor.clone() for name, tensor in cell.state_dict().items()}
    random_before = torch.random.get_rng_state()
    trace_cell(cell)
    assert torch.equal(torch.random.get_rng_state(), random_before)
    assert not cell.training
    assert all(torch.equal(before[name], tensor) for name, tensor in cell.state_dict().items())
    assert all(parameter.grad is None for parameter in cell.parameters())


def test_equal_cells_give_equal_programs_whatever_their_size():
    small, large = (
        CustomGRU(n, n, bias="none", reset="before", update_gate="keep") for n in (1, 9)
    )
    assert trace_cell(small) == trace_cell(large)


def test_a_graph_has_each_node_once_in_its_simplest_form():
    graph = Graph()
    a, b = graph.leaf("state", 0), graph.leaf("state", 1)
    zero, one = graph.const(0), graph.const(1)
    assert graph.apply("add", a, b) == graph.apply("add", b, a)
    assert graph.apply("sub", a, b) != graph.apply("sub", b, a)
    assert graph.apply("add", zero, a) == graph.apply("mul", a, one) == a
    assert graph.apply("mul", a, zero) != zero, "0 times NaN is not 0"
    assert graph.apply("neg", graph.apply("neg", a)) == a
    assert graph.apply("where", one, a, b) == a
    assert graph.value_of(graph.apply("exp", zero)) == 1
