"""Kernels for GPUs one by one: operations, a program written by hand, what the compiler makes."""

import math

import numpy as np
import pytest
import torch

from charlab.cells.custom_gru import CustomGRU
from charlab.cells.custom_lstm import CustomLSTM
from charlab.cells.custom_rnn import CustomRNN
from charlab.engine.graph import Graph
from charlab.engine.keep import kept_nodes
from charlab.engine.program import OPERATIONS, Backward, Call, Node, Program
from charlab.engine.skeleton import Skeleton
from charlab.engine.trace import trace_cell

from .gpu import Outcome, Problem, check
from .odd_cells import Peephole

pytest.importorskip("triton")

import triton
import triton.language as tl

from charlab.engine.gpu.build import build
from charlab.engine.gpu.expressions import EXPRESSIONS, PRELUDE, Lines
from charlab.engine.gpu.fit import Chip, loop_stages, why_not
from charlab.engine.gpu.loop import Loop
from charlab.engine.gpu.loop_text import tile_widths
from charlab.engine.gpu.plan import Plan
from charlab.engine.gpu.runner import TritonRunner
from charlab.engine.gpu.steps import Steps

ABOVE_0 = (1e-30, 0.3, 1.0, 7.5, 3e30)
ALL = (-3e30, -100.0, -1.5, -0.61, -0.59, -1e-3, -1e-20, -0.0, 0.0, 2e-9, 0.1, 0.5, 0.7, 9.0, 3e30)
SMALL = tuple(x for x in ALL if abs(x) < 80)
DOMAIN = {"exp": SMALL, "log": ABOVE_0, "sqrt": ABOVE_0, "log1p": (-0.99, *SMALL[3:], 1e12)}


def compute(op, *columns):
    """The operation on float32 numbers, in a kernel of its own."""
    leaves = tuple(Node("state", (part,)) for part in range(len(columns)))
    nodes = (*leaves, Node(op, tuple(range(len(leaves)))))
    program = Program(nodes, 0, 0, (), (), (), (), ())
    body = []
    lines = Lines(program, body, lambda n: f"tl.load(a{n} + at)" if n < len(columns) else None, "")
    value = lines.value(len(columns))
    names = [f"a{number}" for number in range(len(columns))]
    head = f"@triton.jit\ndef kernel({', '.join(names)}, out, N: tl.constexpr):"
    store = f"tl.store(out + at, {value})"
    source = "\n    ".join((head, "at = tl.arange(0, N)", *body, store))
    kernel = build(f"{PRELUDE}\n\n{source}\n", interpret=True)["kernel"]
    count = len(columns[0])
    size = 1 << (count - 1).bit_length()
    pad = torch.nn.functional.pad
    out = torch.empty(size)
    with np.errstate(all="ignore"):
        kernel[(1,)](
            *(pad(column, (0, size - count), value=1.0) for column in columns), out, N=size
        )
    return out[:count]


@pytest.mark.parametrize("op", OPERATIONS)
def test_operations(op):
    """To a few units in the last place, of each number itself."""
    count, function = OPERATIONS[op]
    values = torch.tensor(DOMAIN.get(op, SMALL if count > 1 else ALL))
    columns = [values.roll(number) for number in range(count)]
    if op == "div":
        columns[1] = columns[1].where(columns[1].abs() > 1e-3, torch.tensor(0.7))
    found = compute(op, *columns)
    for *arguments, result in zip(*(column.tolist() for column in columns), found.tolist()):
        wanted = function(*arguments)
        assert result == pytest.approx(wanted, rel=5e-7, abs=1e-37), arguments
    assert set(EXPRESSIONS) == set(OPERATIONS)


def test_operations_at_the_ends():
    inf, nan = math.inf, math.nan
    ends = torch.tensor([-inf, inf, nan])
    assert compute("tanh", ends).tolist() == pytest.approx([-1, 1, nan], nan_ok=True)
    assert compute("sigmoid", ends).tolist() == pytest.approx([0, 1, nan], nan_ok=True)
    assert compute("log1p", ends[1:]).tolist() == pytest.approx([inf, nan], nan_ok=True)
    assert compute("log1p", torch.tensor([-1.0])).tolist() == [-inf]
    pair = torch.tensor([nan, 1.0]), torch.tensor([1.0, nan])
    assert compute("maximum", *pair).isnan().all() and compute("minimum", *pair).isnan().all()


@pytest.mark.parametrize("chip", [Chip(0, False), Chip(2**18, True)], ids=["steps", "loop"])
def test_a_program_written_by_hand(chip):
    """h' = tanh(W x + U h), against torch.nn.RNN."""
    graph = Graph()
    product = graph.leaf("product", 0, 0)
    state = graph.leaf("state", 0)
    new = graph.apply("tanh", graph.apply("add", graph.leaf("gate", 0), product))
    slope = graph.apply("sub", graph.const(1), graph.apply("mul", new, new))
    grad = graph.apply("mul", graph.leaf("grad_state", 0), slope)
    pieces = (
        Backward(None, ((graph.leaf("gate", 0), grad), (product, grad))),
        Backward(0, ((state, graph.leaf("grad_input", 0)),)),
    )
    program = Program(tuple(graph.nodes), 1, 1, (1,), (), (Call(0, state),), (new,), pieces)

    problem = Problem(CustomRNN(4, 5, nonlinearity="tanh", bias="both"), 4, 3)
    runner = TritonRunner(program, Skeleton(problem.cell), torch.float32, chip)
    rnn = torch.nn.RNN(4, 5).double()
    input_linear, recur = problem.cell.input_linear, problem.cell.recur
    ours = [input_linear.weight, recur.weight, input_linear.bias, recur.bias]
    with torch.no_grad():
        for parameter, own in zip(rnn.parameters(), ours, strict=True):
            parameter.copy_(own)
    x, first = problem.x.double().requires_grad_(), problem.state[0].double().requires_grad_()
    y, last = rnn(x, first[None])
    outputs, grads = [y, last[0]], [problem.grad_y.double(), problem.grad_state[0].double()]
    found = torch.autograd.grad(outputs, [x, first, *rnn.parameters()], grads)
    order = [found[2], found[4], found[3], found[5]]
    check(problem.run(runner), Outcome(y, [last[0]], found[0], [found[1]], order), 1e-6)


def test_tiles_are_powers_of_two_and_not_much_wider_than_needed():
    assert [tile_widths(size) for size in (1, 16, 17, 33, 64, 65, 96, 97, 160, 192, 200)] == [
        (16,), (16,), (32,), (64,), (64,), (64, 32), (64, 32), (128,), (128, 32), (128, 64), (256,)
    ]  # fmt: skip


def plan_of(cell):
    program = trace_cell(cell)
    return Plan(program, kept_nodes(program), range(len(program.linears)))


GRU = {"bias": "both", "reset": "after", "update_gate": "keep"}
CELLS = {
    "rnn": lambda size: CustomRNN(4, size, nonlinearity="tanh", bias="both"),
    "gru": lambda size: CustomGRU(4, size, **GRU),
    "before": lambda size: CustomGRU(4, size, **{**GRU, "reset": "before"}),
    "lstm": lambda size: CustomLSTM(4, size, forget_bias=1.0, bias="both"),
    "peephole": lambda size: Peephole(4, size),
}
H100, A100, SMALL_CHIP = Chip(227 * 1024, True), Chip(163 * 1024, True), Chip(99 * 1024, True)


@pytest.mark.parametrize(
    ("chip", "name", "narrow", "largest"),
    [
        (H100, "gru", True, 160),
        (H100, "lstm", True, 160),
        (H100, "gru", False, 64),
        (H100, "lstm", False, 64),
        (H100, "rnn", True, 288),
        (H100, "rnn", False, 128),
        (A100, "gru", True, 128),
        (A100, "lstm", True, 128),
        (A100, "gru", False, 64),
        (A100, "lstm", False, 64),
        (SMALL_CHIP, "gru", True, 96),
        (SMALL_CHIP, "lstm", True, 96),
        (SMALL_CHIP, "gru", False, 32),
        (SMALL_CHIP, "lstm", False, 32),
    ],
)
def test_what_fits_in_one_launch(chip, name, narrow, largest):
    plan = plan_of(CELLS[name](4))
    sizes = [size for size in range(1, 400) if loop_stages(plan, size, narrow, chip)]
    assert sizes == list(range(1, largest + 1))
    assert loop_stages(plan, 16, narrow, Chip(2**20, False)) is None


def test_what_there_is_no_code_for():
    assert (
        why_not(torch.float64)
        == "generated code for a GPU computes in float32, not in torch.float64"
    )
    assert why_not(torch.float32) is None


def compiled(kernel, function, narrow, capability, constants, numbers, **options):
    """What Triton's compiler makes of a kernel. It needs no GPU."""
    half = ("weight", "operand", "source")
    signature = {
        name: "*bf16" if narrow and (name == "d" or name.startswith(half)) else "*fp32"
        for name in kernel.arguments
    }
    attributes = {(place,): [["tt.divisibility", 16]] for place in range(len(signature))}
    signature |= dict.fromkeys(numbers, "i32") | dict.fromkeys(constants, "constexpr")
    source = triton.compiler.ASTSource(function, signature, constants, attributes)
    target = triton.backends.compiler.GPUTarget("cuda", capability, 32)
    return triton.compile(source, target=target, options=options)


@pytest.fixture
def own_cache(tmp_path):
    with triton.knobs.cache.scope():
        triton.knobs.cache.dir = str(tmp_path)
        yield


@pytest.mark.parametrize(
    ("name", "size", "narrow", "capability"),
    [("rnn", 64, False, 90), ("gru", 40, True, 80), ("peephole", 16, True, 90)],
)
def test_a_launch_takes_no_more_shared_memory_than_reckoned(
    own_cache, name, size, narrow, capability
):
    plan = plan_of(CELLS[name](4))
    reckoned = next(n for n in range(2**20) if loop_stages(plan, size, narrow, Chip(n, True)) == 3)
    loop = Loop(plan, size, 3, interpret=False)
    constants = {"H": size, "BM": 16, "NARROW": narrow, "PRECISION": "tf32x3"}
    constants["TYPE"] = tl.bfloat16 if narrow else tl.float32
    for kernel, stages in ((loop._forward[True], 1), (loop._backward, 3)):
        made = compiled(
            kernel, loop._built[kernel.name], narrow, capability, constants, ("T", "B"),
            num_warps=8 if size > 32 else 4, num_stages=stages,
        )  # fmt: skip
        assert 0 < made.metadata.shared <= reckoned
        assert "mma.sync" in made.asm["ptx"]


@pytest.mark.parametrize("name", ["before", "peephole"])
def test_passes_compile(own_cache, name):
    steps = Steps(plan_of(CELLS[name](4)), interpret=False)
    kernels = (*steps._forward[True], *steps._forward[False], *steps._backward.values())
    for kernel in filter(None, kernels):
        constants = {"H": 300, "BLOCK": 256}
        made = compiled(kernel, steps._built[kernel.name], True, 90, constants, ("count",))
        assert "cubin" in made.asm
