"""A cell as a module of torch: the loop over steps, whatever is done to the module."""

import copy
import io
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from charlab.cells.custom_rnn import CustomRNN
from charlab.engine import as_layer, build_layer

from ..cells.table import ENGINES, B, H, I, T, build, random, randomise
from .odd_cells import Clamped, Dropped, Masked, Own, Peephole, Softplus
from .same import GRU, LSTM, assert_same, every_engine, gradients, pair, random_state


@every_engine
def test_numbers_of_another_type_after_it_ran(engine):
    layer, reference = pair(LSTM, engine)
    assert_same(layer, reference)
    for dtype, atol in ((torch.float32, 1e-4), (torch.float64, 1e-12)):
        assert_same(layer.to(dtype), reference.to(dtype), atol=atol)


@every_engine
def test_copies_are_layers_of_their_own(engine):
    layer, reference = pair(LSTM, engine)
    assert_same(layer, reference)
    stored = io.BytesIO()
    torch.save(layer, stored)
    stored.seek(0)
    copies = [
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        torch.load(stored, weights_only=False),
    ]
    randomised = layer.cell.recur.weight.detach().clone()
    with torch.no_grad():
        layer.cell.recur.weight.zero_()
    for other in copies:
        assert torch.equal(other.cell.recur.weight, randomised)
        assert_same(other, reference)


def test_the_names_of_weights_are_those_of_the_cell_whatever_runs_it():
    names = [set(build(LSTM, engine=engine).state_dict()) for engine in (*ENGINES, "auto")]
    assert names[0] == {
        f"cell.{p}.{k}" for p in ("input_linear", "recur") for k in ("weight", "bias")
    }
    assert all(other == names[0] for other in names)


@every_engine
def test_weights_may_be_loaded_moved_and_replaced(engine):
    layer, reference = pair(LSTM, engine)
    assert_same(layer, reference)
    for change in (
        lambda one: one.load_state_dict({k: 0.5 * v for k, v in one.state_dict().items()}),
        lambda one: one.load_state_dict(
            {k: v + 0.1 for k, v in one.state_dict().items()}, assign=True
        ),
        lambda one: setattr(one.cell.recur, "weight", nn.Parameter(one.cell.recur.weight * 0.9)),
        lambda one: setattr(one.cell, "recur", randomise(copy.deepcopy(one.cell.recur))),
        lambda one: one.requires_grad_(False).cell.recur.requires_grad_(True),
    ):
        for one in (layer, reference):
            change(one)
        assert_same(layer, reference)


@every_engine
def test_functional_call_and_shared_weights(engine):
    layer, reference = pair(LSTM, engine)
    others = {name: random(*p.shape, seed=30) for name, p in layer.named_parameters()}
    found = []
    for one in (layer, reference):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in others.items()}
        arguments = (random(T, B, I), random_state(one))
        y, _ = torch.func.functional_call(one, leaves, arguments)
        found.append(torch.autograd.grad(y.square().sum(), list(leaves.values())))
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)

    square = [build(LSTM, H, H, engine=name) for name in (engine, "reference")]
    twice = [
        nn.ModuleList([one, build(LSTM, H, H, engine=one_name)])
        for one, one_name in zip(square, (engine, "reference"))
    ]
    for stack in twice:
        stack[1].cell.recur.weight = stack[0].cell.recur.weight
    found = []
    for stack in twice:
        y, state = stack[0](random(T, B, H), random_state(stack[0]))
        y, _ = stack[0](y, state)  # a layer used twice
        y, _ = stack[1](y, state)
        found.append(torch.autograd.grad(y.square().sum(), list(stack.parameters())))
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)


@every_engine
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch's own use of it
def test_transforms_of_functions(engine):
    """Of torch.func, and forward mode: the loop over steps does them."""
    layer, reference = pair(LSTM, engine)
    found = []
    for one in (layer, reference):
        state = random_state(one)

        def loss(x, one=one, state=state):
            return one(x, state)[0].square().sum()

        x = random(T, B, I)
        with torch.autograd.forward_ad.dual_level(), torch.no_grad():
            dual = torch.autograd.forward_ad.make_dual(x, x.cos())
            tangent = torch.autograd.forward_ad.unpack_dual(loss(dual)).tangent
        found.append(
            [
                torch.func.grad(loss)(x),
                torch.func.jvp(loss, (x,), (x.cos(),))[1],
                torch.vmap(loss)(torch.stack([x, 2 * x])),
                tangent,
            ]
        )
    torch.testing.assert_close(*found, rtol=0, atol=1e-10)


@every_engine
def test_a_weight_made_by_a_parametrization(engine):
    layer, reference = pair(LSTM, engine)
    assert_same(layer, reference)
    for one in (layer, reference):
        nn.utils.parametrizations.weight_norm(one.cell.recur)
        nn.utils.parametrizations.weight_norm(one.cell.input_linear)
    assert_same(layer, reference)
    assert any("parametrizations" in name for name, _ in layer.named_parameters())


@every_engine
def test_a_parametrization_that_comes_later(engine):
    """Before the layer ever ran, and between training and evaluation."""
    layer, reference = (as_layer(Peephole(I, H).double(), name) for name in (engine, "reference"))
    reference.load_state_dict(layer.state_dict())
    for name in ("start", "peep"):
        for one in (layer, reference):
            nn.utils.parametrize.register_parametrization(one.cell, name, Softplus())
        assert_same(layer, reference)
        assert_same(layer.eval(), reference.eval())


@every_engine
def test_a_plain_attribute_that_changes_changes_the_step(engine):
    """Compiled code holds the numbers that it was made with."""
    layer, reference = (
        as_layer(CustomRNN(I, H, nonlinearity="tanh", bias="both").double(), name)
        for name in (engine, "reference")
    )
    reference.load_state_dict(layer.state_dict())
    assert_same(layer, reference)
    for one in (layer, reference):
        one.cell.nonlinearity = "relu"
    assert_same(layer, reference)


def test_a_number_of_the_users_step_that_changes():
    layer, reference = (as_layer(Clamped(I, H).double(), name) for name in ("auto", "reference"))
    reference.load_state_dict(layer.state_dict())
    for scale in (1.25, -0.5, 1.25):
        layer.cell.scale = reference.cell.scale = scale
        assert_same(layer, reference)


class Scaled(Own):
    """Numbers of the step in a container, and behind an underscore."""

    def add(self, size):
        self.scales = [0.5, 2.0]
        self._shift = 0.25

    def new(self, one, two, h):
        return (self.scales[0] * one + self.scales[1] * two + self._shift * h).tanh()


@pytest.mark.parametrize("engine", ["eager", pytest.param("auto", marks=pytest.mark.slow)])
def test_numbers_in_containers_and_behind_underscores_count_too(engine):
    layer, reference = (as_layer(Scaled(I, H).double(), name) for name in (engine, "reference"))
    reference.load_state_dict(layer.state_dict())
    assert_same(layer, reference)
    for one in (layer, reference):
        one.cell.scales[1] = -1.0
    assert_same(layer, reference)
    for one in (layer, reference):
        one.cell._shift = -2.0
    assert_same(layer, reference)


def test_weights_that_a_step_reads_past_the_cell_get_their_gradients():
    """A function that holds the cell it was made in: copies of the cell do not know of it."""

    class Closure(Own):
        def add(self, size):
            self.gain = torch.nn.Parameter(torch.ones(size))
            self.how = lambda a: (a * self.gain).tanh()

        def new(self, one, two, h):
            return self.how(one + two)

    cell = Closure(I, H).double()
    assert_same(as_layer(cell, "auto"), as_layer(cell, "reference"))


def test_a_buffer_moves_with_the_module():
    layer, reference = (as_layer(Masked(I, H).double(), name) for name in ("auto", "reference"))
    reference.load_state_dict(layer.state_dict())
    assert_same(layer, reference)
    assert_same(layer.float(), reference.float(), atol=1e-4)


def test_a_random_step_draws_as_the_loop_does():
    layer, reference = (as_layer(Dropped(I, H).double(), name) for name in ("auto", "reference"))
    reference.load_state_dict(layer.state_dict())
    x, found = random(T, B, I), []
    for one in (layer, reference):
        torch.manual_seed(3)
        found.append(gradients(one, x, random_state(one)))
    assert all(map(torch.equal, *found))
    assert_same(layer.eval(), reference.eval())


def test_the_initialisers_reach_the_weights_that_run():
    layer = build_layer("custom_gru", I, H, GRU.options)
    y, _ = layer(random(T, B, I).float(), layer.initial_state(B))
    for block in layer.gate_blocks():
        block.tensor.zero_()
    assert y.abs().sum() > 0
    assert torch.all(layer(random(T, B, I).float(), layer.initial_state(B))[0] == 0)


@every_engine
@pytest.mark.parametrize("kind", [Own, Peephole])
def test_gradients_through_a_checkpoint(engine, kind):
    layer = as_layer(randomise(kind(I, H).double()), engine)
    x, state, found = random(T, B, I).requires_grad_(), random_state(layer), []
    for call in (
        layer,
        lambda *given: torch.utils.checkpoint.checkpoint(layer, *given, use_reentrant=False),
    ):
        y, _ = call(x, state)
        found.append(torch.autograd.grad(y.square().sum(), [x, *layer.parameters()]))
    assert all(map(torch.equal, *found))


RANK = """
import sys, torch
from torch import distributed, nn
from charlab.engine import build_layer
rank, store, engine = int(sys.argv[1]), sys.argv[2], sys.argv[3]
distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
torch.manual_seed(0)
options = {"forget_bias": 1.0, "bias": "both"}
layer = build_layer("custom_lstm", 4, 5, options, engine).double()
layer.cell.input_linear.bias.requires_grad_(False)
wrapped = nn.parallel.DistributedDataParallel(layer, gradient_as_bucket_view=True)
x = torch.randn(6, 8, 4, dtype=torch.float64)
for step in range(2):  # buckets are built anew after the first
    layer.zero_grad()
    y, state = wrapped(x[:, 4 * rank : 4 * rank + 4], layer.initial_state(4))
    y.square().sum().backward()
gathered = [p.grad for p in layer.parameters() if p.requires_grad]
y, _ = layer(x, layer.initial_state(8))
wanted = [p for p in layer.parameters() if p.requires_grad]
expected = torch.autograd.grad(y.square().sum() / 2, wanted)
torch.testing.assert_close(gathered, list(expected), rtol=0, atol=1e-12)
distributed.destroy_process_group()
print("same")
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_two_processes_share_their_gradients(engine, tmp_path):
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(tmp_path / "store"), engine],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for rank in range(2)
    ]
    try:
        for process in ranks:
            out, err = process.communicate(timeout=240)
            assert out == "same\n", err
    finally:
        for process in ranks:
            process.kill()
            process.wait()
