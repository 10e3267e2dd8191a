"""Whole sequences in plain torch: the loop over steps, for every step that can be run again."""

import copy

import pytest
import torch

from charlab.engine import as_layer
from charlab.engine.eager import EagerRunner
from charlab.engine.probe import NotRepeatable

from ..cells.table import ENGINES, random, randomise
from .odd_cells import AGAIN, ANY, ELEMENTWISE, Abroad, Masked, Moded, Peephole, Shared

T, B, I, H = 5, 3, 4, 6  # noqa: E741
FAST = [engine for engine in ENGINES if engine != "reference"]
CASES = [(cell, "eager") for cell in (*ELEMENTWISE, *ANY)]
CASES += [(cell, "compiled") for cell in ELEMENTWISE if "compiled" in ENGINES]
CASES += [(cell, "auto") for cell in ANY]  # perhaps compiled, if it is understood
every_case = pytest.mark.parametrize(("kind", "engine"), CASES)


def pair(kind, engine, dtype=torch.float64, **options):
    """The same cell under an engine and under the reference, with weights of their own."""
    torch.manual_seed(0)
    cell = randomise(kind(I, H, **options).to(dtype))
    return as_layer(cell, engine), as_layer(copy.deepcopy(cell), "reference")


def results(layer, dtype=torch.float64):
    """Outputs, the state after two chunks, and all gradients, where all of them matter."""
    layer.zero_grad()
    x = random(T, B, I).to(dtype).requires_grad_()
    zeros = layer.initial_state(B)
    first = state = type(zeros)(
        *(random(*part.shape, seed=9).to(dtype).requires_grad_() for part in zeros)
    )
    outputs = []
    for chunk in x.split(3):
        y, state = layer(chunk, state)
        outputs.append(y.to(dtype))
    y = torch.cat(outputs)
    loss = (random(T, B, H, seed=3).to(dtype) * y).sum()
    for number, part in enumerate(state):
        loss = loss + (random(B, H, seed=4 + number).to(dtype) * part).sum()
    loss.backward()
    gradients = [parameter.grad for parameter in layer.parameters()]
    return [y.detach(), *(part.detach() for part in state), x.grad, *(p.grad for p in first)], [
        torch.zeros_like(p) if grad is None else grad
        for p, grad in zip(layer.parameters(), gradients)
    ]


@every_case
@pytest.mark.parametrize("bias", ["both", "input", "none"])
def test_equals_the_loop_over_steps(kind, engine, bias):
    layer, reference = pair(kind, engine, bias=bias)
    torch.testing.assert_close(results(layer), results(reference), rtol=0, atol=1e-12)
    assert engine == "auto" or layer.settle("cpu", torch.float64) == (engine, None)


@pytest.mark.parametrize(
    ("kind", "engine"), [case for case in CASES if case[1] == "eager" or case[0] is Peephole]
)
def test_under_autocast_it_is_near_the_loop_over_steps(kind, engine):
    layer, reference = pair(kind, engine, torch.float32)
    with torch.no_grad():
        for one in (layer, reference):
            for parameter in one.parameters():
                parameter *= 0.5
    with torch.autocast("cpu", torch.bfloat16):
        values, gradients = results(layer, torch.float32)
        right_values, right_gradients = results(reference, torch.float32)
    assert all(tensor.dtype == torch.float32 for tensor in (*values, *gradients))
    torch.testing.assert_close(values, right_values, rtol=0.05, atol=0.05)
    for got, right in zip(gradients, right_gradients, strict=True):
        assert (got - right).norm() <= 0.1 * right.norm() + 1e-2


@pytest.mark.parametrize("kind", ANY)
def test_gradients_are_those_of_finite_differences(kind):
    layer, _ = pair(kind, "eager")
    zeros = layer.initial_state(2)

    def outputs(x, *others):
        y, after = layer(x, type(zeros)(*others[: len(zeros)]))
        return y, *after

    state = [random(*part.shape, seed=7).requires_grad_() for part in zeros]
    x = random(3, 2, I).requires_grad_()
    assert torch.autograd.gradcheck(outputs, (x, *state, *layer.parameters()))


@pytest.mark.parametrize("kind", AGAIN)
def test_a_step_that_cannot_be_run_again_is_refused(kind):
    with pytest.raises(NotRepeatable) as caught:
        EagerRunner(kind(I, H))
    assert caught.value.reason.startswith(AGAIN[kind])


@pytest.mark.parametrize("kind", [*ELEMENTWISE, *ANY])
def test_a_step_is_differentiated_once_for_a_number_of_rows(kind):
    """What runs in the backward is what torch did then, unless torch did not see all of it."""
    layer, _ = pair(kind, "eager")
    for _ in range(2):
        results(layer)
    (choice,) = layer._choices.values()
    (function,) = choice.runner._step_back._traced.values()
    is_traced = isinstance(getattr(function, "__self__", None), torch.fx.GraphModule)
    assert is_traced == (kind is not Abroad)


def test_probing_leaves_the_cell_and_the_generators_alone():
    cell = Masked(I, H)
    before = {name: tensor.clone() for name, tensor in cell.state_dict().items()}
    random_state = torch.get_rng_state()
    EagerRunner(cell)
    assert torch.equal(torch.get_rng_state(), random_state)
    for name, tensor in cell.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all(parameter.grad is None for parameter in cell.parameters())


def test_buffers_are_read_when_the_layer_runs():
    layer, reference = pair(Masked, "eager")
    results(layer)
    for one in (layer, reference):
        one.cell.mask.fill_(0.3)
        one.cell.places = torch.arange(H)
    torch.testing.assert_close(results(layer), results(reference), rtol=0, atol=1e-12)


@pytest.mark.parametrize("engine", FAST)
def test_a_cell_in_evaluation_runs_its_step_of_evaluation(engine):
    layer, reference = pair(Moded, engine)
    trained = results(layer)[0][0]
    for one in (layer, reference):
        one.eval()
    evaluated = results(layer)
    torch.testing.assert_close(evaluated, results(reference), rtol=0, atol=1e-12)
    assert not torch.allclose(evaluated[0][0], trained)


@pytest.mark.parametrize("engine", FAST)
def test_a_weight_with_two_names_gets_the_gradient_of_both(engine):
    layer, _ = pair(Shared, engine)
    assert layer.cell.recur.weight is layer.cell.other.weight
    assert [name for name, _ in layer.named_parameters() if "other" in name] == ["cell.other.bias"]
