"""Steppers, which text is drawn with: the same steps as a chunk has."""

import pytest
import torch

from charlab.engine import as_layer

from ..cells.table import ONE_FORM_QUICK, B, H, I, T, build, case_id, random
from .odd_cells import Peephole
from .same import LSTM, every_engine, pair, random_state

# of the compiled engine: weights as they stand for the few, packed ones for the many
ROWS_OF_A_STEP = (1, 3, 4, 17)
every_case = pytest.mark.parametrize(("row", "engine"), ONE_FORM_QUICK, ids=case_id)


def steps(layer, x_TBI, state):
    step = layer.stepper(state)
    return torch.stack([step(x_BI) for x_BI in x_TBI])


@every_case
@pytest.mark.parametrize("num_rows", ROWS_OF_A_STEP)
@torch.inference_mode()
def test_steps_equal_a_chunk(row, engine, num_rows):
    layer, x = build(row, engine=engine), random(T, num_rows, I)
    state = random_state(layer, num_rows)
    before = [part.clone() for part in state]
    expected = layer(x, state)[0]
    torch.testing.assert_close(steps(layer, x, state), expected, rtol=0, atol=1e-12)
    assert all(map(torch.equal, state, before))


@every_engine
@torch.inference_mode()
def test_steps_of_a_cell_with_parameters_of_its_own(engine):
    layer, reference = (as_layer(Peephole(I, H), one) for one in (engine, "reference"))
    reference.load_state_dict(layer.state_dict())
    x, state = random(T, B, I).float(), random_state(layer)
    expected = reference(x, state)[0]
    torch.testing.assert_close(steps(layer, x, state), expected, rtol=0, atol=1e-6)


@every_engine
@pytest.mark.parametrize("num_rows", [1, 17])
@torch.inference_mode()
def test_steps_in_mixed_precision(engine, num_rows):
    layer, x = build(LSTM, engine=engine).float(), random(T, num_rows, I).float()
    state = random_state(layer, num_rows)
    with torch.autocast("cpu", torch.bfloat16):
        expected = layer(x, state)[0]
        got = steps(layer, x.bfloat16(), state)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-2)
    assert got.dtype == torch.float32
    exact = steps(layer, x, state)
    assert not torch.equal(got, exact)


@every_engine
@torch.inference_mode()
def test_two_steppers_of_one_layer_do_not_meet(engine):
    layer, reference = pair(LSTM, engine)
    x, state = random(2, B, I), random_state(layer)
    one, other = layer.stepper(state), layer.stepper(state)
    got = [one(x[0]), other(x[1]), one(x[1]), other(x[0])]
    expected = [*reference(x, state)[0], *reference(x.flip(0), state)[0]]
    for index, right in zip((0, 2, 1, 3), expected, strict=True):
        torch.testing.assert_close(got[index], right, rtol=0, atol=1e-12)


@every_engine
@torch.inference_mode()
def test_inputs_of_another_layout_and_outputs_that_are_kept(engine):
    layer, x = build(LSTM, engine=engine), random(T, I, B).transpose(1, 2)
    state = random_state(layer)
    step = layer.stepper(state)
    kept = [step(x_BI) for x_BI in x]
    expected = layer(x.contiguous(), state)[0]
    torch.testing.assert_close(torch.stack(kept), expected, rtol=0, atol=1e-12)


@every_engine
@torch.inference_mode()
def test_what_has_another_shape_is_refused(engine):
    layer = build(LSTM, engine=engine)
    step = layer.stepper(random_state(layer))
    for wrong in (random(B, I + 1), random(B + 1, I), random(B, 1)):
        with pytest.raises(ValueError, match=r"shape|state"):
            step(wrong)


@every_engine
def test_where_autograd_is_on_it_still_sees_the_steps(engine):
    layer, x = build(LSTM, engine=engine), random(T, B, I).requires_grad_()
    y = steps(layer, x, random_state(layer))
    expected = torch.autograd.grad(layer(x, random_state(layer))[0].sum(), x)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x), expected, rtol=0, atol=1e-12)
