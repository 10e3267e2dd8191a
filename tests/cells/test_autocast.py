"""Mixed precision: products in bfloat16, the state of every cell in float32."""

import pytest
import torch

from .table import ONE_FORM_QUICK, B, I, T, build, case_id, random


def run(layer, x_TBI, mixed):
    """(outputs, states after two chunks, gradients of the parameters)."""
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        y_TBH, between = layer(x_TBI, layer.initial_state(B))
        again_TBH, after = layer(x_TBI, between)
    loss = y_TBH.float().square().sum() + again_TBH.float().square().sum()
    return (y_TBH, again_TBH), (between, after), torch.autograd.grad(loss, layer.parameters())


@pytest.mark.parametrize(("row", "engine"), ONE_FORM_QUICK, ids=case_id)
def test_the_state_stays_in_float32_and_values_are_near_those_of_float32(row, engine):
    layer = build(row, engine=engine).float()
    x_TBI = random(T, B, I).float()
    outputs, states, gradients = run(layer, x_TBI, mixed=True)
    expected, expected_states, expected_gradients = run(layer, x_TBI, mixed=False)
    assert all(part.dtype == torch.float32 for state in states for part in state)
    assert all(gradient.dtype == torch.float32 for gradient in gradients)
    for got, right in zip(outputs, expected, strict=True):
        torch.testing.assert_close(got.float(), right, rtol=0.05, atol=0.05)
    for state, right_state in zip(states, expected_states, strict=True):
        for part, right in zip(state, right_state, strict=True):
            torch.testing.assert_close(part, right, rtol=0.05, atol=0.05)
    for got, right in zip(gradients, expected_gradients, strict=True):
        assert (got - right).norm() <= 0.1 * right.norm() + 1e-3


@pytest.mark.parametrize(
    ("row", "engine"), [one for one in ONE_FORM_QUICK if one.values[1] != "auto"], ids=case_id
)
def test_the_state_holds_more_than_bfloat16_does(row, engine):
    layer = build(row, engine=engine).float()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        _, state = layer(random(T, B, I).float(), layer.initial_state(B))
    for part in state:
        assert not torch.equal(part, part.bfloat16().float())
