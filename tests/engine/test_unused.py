"""Parts of a step that the loss does not depend on: nothing that was never written may be read."""

import pytest
import torch

from charlab.engine import as_layer
from charlab.engine.gpu.runner import TritonRunner
from charlab.engine.skeleton import Skeleton
from charlab.engine.trace import trace_cell

from .odd_cells import Detached

T, B, H = 3, 20, 64  # so large that memory is used again


@pytest.fixture(autouse=True)
def memory_is_filled():
    """New tensors hold NaN, and the allocator has memory to give that was used before."""
    torch.use_deterministic_algorithms(True)
    junk = [torch.full((size,), 1e30) for size in (B * H, T * B * H, 3 * B * H) for _ in range(20)]
    del junk
    yield
    torch.use_deterministic_algorithms(False)


def gradients(layer, x_TBH):
    state = layer.initial_state(B)
    first = state.h_BH.normal_(generator=torch.Generator().manual_seed(1)).requires_grad_()
    y_TBH, _ = layer(x_TBH, state)
    wanted = [x_TBH, first, *layer.parameters()]
    return torch.autograd.grad(y_TBH.sum(), wanted, allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("engine", ["compiled", "eager"])
def test_gradients_are_those_of_the_loop_over_steps(engine):
    torch.manual_seed(0)
    cell = Detached(H, H)
    x_TBH = torch.randn(T, B, H, requires_grad=True)
    expected = gradients(as_layer(cell, "reference"), x_TBH)
    assert (expected[0] == 0).all() and (expected[1] != 0).any()
    for _ in range(5):
        found = gradients(as_layer(cell, engine), x_TBH)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_on_a_gpu_too():
    """In Triton's interpreter."""
    torch.manual_seed(0)
    size = 4
    cell = Detached(size, size)
    x_TBH, first = torch.randn(2, 2, size), torch.randn(2, size)
    state = type(cell.initial_state(2))(first.clone().requires_grad_())
    expected_y, _ = as_layer(cell, "reference")(x_TBH, state)
    wanted = [state.h_BH, *cell.parameters()]
    expected = torch.autograd.grad(
        expected_y.sum(), wanted, allow_unused=True, materialize_grads=True
    )
    runner = TritonRunner(trace_cell(cell), Skeleton(cell), torch.float32)
    with torch.no_grad():
        parameters = [parameter.detach() for parameter in cell.parameters()]
        y_TBH, last, saved = runner.forward(x_TBH, [first], parameters, narrow=False, save=True)
        grads = [torch.zeros_like(part) for part in last]
        d_x, d_state, d_parameters = runner.backward(
            torch.ones_like(y_TBH),
            grads,
            x_TBH,
            [first],
            parameters,
            y_TBH,
            saved,
            narrow=False,
            need_x=True,
        )
    torch.testing.assert_close(y_TBH, expected_y.detach(), rtol=1e-4, atol=1e-5)
    assert (d_x == 0).all()
    torch.testing.assert_close([*d_state, *d_parameters], list(expected), rtol=1e-4, atol=1e-5)
