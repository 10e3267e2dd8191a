"""The operator: what torch's own checks, torch.compile and autograd ask of it."""

import gc

import pytest
import torch
from torch.library import opcheck

from charlab.engine import as_layer
from charlab.engine.op import recurrence, recurrence_backward

from ..cells.table import ROWS, B, H, I, T, build, random, row_id
from .odd_cells import Dropped, Moded, NoProduct, Normed
from .same import FAST, every_engine, random_state

# two products in turn; a state of two parts
FORMS = [next(row for row in ROWS if row.cell == cell) for cell in ("custom_gru", "custom_lstm")]
every_case = pytest.mark.parametrize(
    ("row", "engine"),
    [(row, engine) for row in FORMS for engine in FAST],
    ids=lambda case: case if isinstance(case, str) else row_id(case),
)
# each form, and each engine
some_cases = pytest.mark.parametrize(
    ("row", "engine"),
    [
        pytest.param(row, engine, marks=[] if index == number else pytest.mark.slow)
        for index, row in enumerate(FORMS)
        for number, engine in enumerate(FAST)
    ],
    ids=lambda case: case if isinstance(case, str) else row_id(case),
)


def arguments(layer, *, save=True, num_steps=T):
    """What the layer hands to the operator."""
    dtype = next(layer.parameters()).dtype
    layer.settle("cpu", dtype)
    (choice,) = layer._choices.values()
    x = random(num_steps, B, I).to(dtype).requires_grad_()
    return (
        x,
        list(random_state(layer, grad=True)),
        layer._tensors(choice.tensors, dtype, x.device),
        choice.key,
        False,
        save,
    )


@some_cases
def test_torch_finds_nothing_wrong_with_it(row, engine):
    """Schema, fakes, autograd registration, and AOT autograd with sizes that are symbols."""
    layer = build(row, engine=engine)
    opcheck(recurrence, arguments(layer))
    layer.requires_grad_(False)
    x, state, *others = arguments(layer, save=False)
    given = (x.detach(), [part.detach() for part in state], *others)
    opcheck(recurrence, given)


@some_cases
def test_torch_finds_nothing_wrong_with_its_backward(row, engine):
    layer = build(row, engine=engine)
    x, state, parameters, key, narrow, _ = arguments(layer)
    x, state = x.detach(), [part.detach() for part in state]
    parameters = [parameter.detach() for parameter in parameters]
    y, *rest = recurrence(x, state, parameters, key, narrow, True)
    after, saved = rest[: len(state)], rest[len(state) :]
    grads = (y.cos(), [part.sin() for part in after])
    for need_x in (True, False):
        given = (*grads, x, state, parameters, y, saved, key, narrow, need_x)
        opcheck(recurrence_backward, given)


@every_engine
@pytest.mark.parametrize("num_steps", [1, 4])
def test_results_have_memory_of_their_own(engine, num_steps):
    """Also where a step hands a part of the state on, and its gradient back."""
    for layer in (as_layer(NoProduct(I, H), engine), build(FORMS[0], engine=engine)):
        x, state, parameters, key, narrow, _ = arguments(layer, num_steps=num_steps)
        with torch.no_grad():
            results = recurrence(x, state, parameters, key, narrow, True)
            y, after, saved = results[0], results[1 : 1 + len(state)], results[1 + len(state) :]
            grad_y, grad_after = y.cos(), [part.sin() for part in after]
            given = [grad_y, *grad_after, x, *state, *parameters, y, *saved]
            gradients = recurrence_backward(
                grad_y, grad_after, x, state, parameters, y, saved, key, narrow, True
            )
        for made, before in ((results, [x, *state, *parameters]), (gradients, given)):
            places = [tensor.untyped_storage().data_ptr() for tensor in (*made, *before)]
            places = [place for place in places if place != 0]
            assert len(set(places)) == len(places)


@every_engine
def test_a_second_derivative_is_refused(engine):
    layer, x = build(FORMS[0], engine=engine), random(T, B, I).requires_grad_()
    y, _ = layer(x, layer.initial_state(B))
    (gradient,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"first derivatives only.*model\.engine=reference"):
        gradient.square().sum().backward()


def both_ways(layer, run, num_steps=T, batch_size=B):
    """The layer's results and gradients, and those of `run` in its place."""
    found = []
    for call in (layer, run):
        layer.zero_grad()
        x = random(num_steps, batch_size, I).requires_grad_()
        first = random_state(layer, batch_size, grad=True)
        y, after = call(x, first)
        (y.square().sum() + sum(part.sin().sum() for part in after)).backward()
        gradients = [tensor.grad.clone() for tensor in (x, *first, *layer.parameters())]
        found.append([y.detach(), *(part.detach() for part in after), *gradients])
    return found


@pytest.mark.slow
@every_case
def test_compiled_by_torch_it_stays_one_operator(row, engine):
    """Values and gradients are those of the layer itself; sizes may change."""
    layer = build(row, engine=engine)
    torch._dynamo.reset()
    run = torch.compile(layer, backend="aot_eager", fullgraph=True)
    for sizes in ((T, B), (T + 2, B), (T + 3, B + 1), (1, 1)):
        own, compiled = both_ways(layer, run, *sizes)
        assert all(map(torch.equal, own, compiled)), sizes
    with torch.no_grad():
        x, state = random(T, B, I), random_state(layer)
        assert torch.equal(run(x, state)[0], layer(x, state)[0])


def test_compiled_by_torch_before_it_ever_ran():
    """What runs it is found while torch traces, and no graph holds the runner of another layer."""
    torch._dynamo.reset()
    for kind in (Normed, Dropped):
        layers = [as_layer(kind(I, H).double().eval(), "auto") for _ in range(2)]
        for layer in layers:
            run = torch.compile(layer, backend="aot_eager", fullgraph=True)
            x, state = random(T, B, I), random_state(layer)
            torch.testing.assert_close(run(x, state)[0], layer(x, state)[0], rtol=0, atol=1e-12)


def test_compiled_by_torch_it_knows_its_mode():
    layer = as_layer(Moded(I, H).double(), "eager")
    torch._dynamo.reset()
    run = torch.compile(layer, backend="aot_eager", fullgraph=True)
    x, state, found = random(T, B, I), random_state(layer), []
    for mode in (True, False, True):
        layer.train(mode)
        found.append(run(x, state)[0])
        assert torch.equal(found[-1], layer(x, state)[0])
    assert not torch.equal(found[0], found[1])


@every_engine
def test_compiled_by_torch_under_autocast(engine):
    layer = build(FORMS[0], engine=engine).float()
    torch._dynamo.reset()
    run = torch.compile(layer, backend="aot_eager", fullgraph=True)
    x, state = random(T, B, I).float(), random_state(layer)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(run(x, state)[0], layer(x, state)[0])
    assert not torch.equal(run(x, state)[0], layer(x.bfloat16().float(), state)[0])


@every_case
@pytest.mark.parametrize("wanted", ["y", "state", "last"])
def test_results_that_nobody_uses_have_no_gradient(row, engine, wanted):
    layer, reference = build(row, engine=engine), build(row, engine="reference")
    gradients = []
    for one in (layer, reference):
        x, first = random(T, B, I).requires_grad_(), random_state(one, grad=True)
        y, after = one(x, first)
        loss = {"y": y, "state": torch.cat(list(after)), "last": after[-1]}[wanted].square().sum()
        gradients.append(torch.autograd.grad(loss, (x, *first, *one.parameters())))
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


@every_case
def test_gradients_of_some_alone(row, engine):
    """An input without a gradient, weights that are frozen, a first state alone."""
    layer, reference = build(row, engine=engine), build(row, engine="reference")
    names = [name for name, _ in layer.named_parameters()]
    for wanted in ([], names[:1], names[-1:], ["state"], ["x"]):
        gradients = []
        for one in (layer, reference):
            x = random(T, B, I).requires_grad_("x" in wanted)
            first = random_state(one, grad="state" in wanted)
            for name, parameter in one.named_parameters():
                parameter.requires_grad_(name in wanted)
            y, after = one(x, first)
            leaves = [x, *first, *one.parameters()]
            leaves = [leaf for leaf in leaves if leaf.requires_grad]
            assert y.requires_grad == after[0].requires_grad == bool(leaves)
            if leaves:
                loss = y.square().sum() + after[0].sum()
                gradients.append(torch.autograd.grad(loss, leaves))
        if wanted:
            torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


@every_engine
def test_a_backward_outlives_its_layer(engine):
    layer, x = build(FORMS[0], engine=engine), random(T, B, I).requires_grad_()
    expected = torch.autograd.grad(layer(x, layer.initial_state(B))[0].sum(), x)
    y, _ = layer(x, layer.initial_state(B))
    del layer
    gc.collect()
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], expected[0])


@every_engine
def test_a_backward_is_that_of_its_forward(engine):
    """Whatever became of the layer's mode in between."""
    layer, x = build(FORMS[0], engine=engine), random(T, B, I).requires_grad_()
    y, _ = layer(x, layer.initial_state(B))
    expected = torch.autograd.grad(y.sum(), x, retain_graph=True)
    layer.eval()
    layer(x, layer.initial_state(B))
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], expected[0])


@every_engine
def test_a_weight_that_changes_before_the_backward_is_noticed(engine):
    layer, x = build(FORMS[0], engine=engine), random(T, B, I).requires_grad_()
    y, _ = layer(x, layer.initial_state(B))
    with torch.no_grad():
        layer.cell.recur_n.weight += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
