"""A cell as a layer: the loop over steps, whatever tensors it is given."""

import pytest
import torch

from ..cells.table import B, H, I, T, build, random
from .same import LSTM, assert_same, every_engine, pair, random_state


@every_engine
@pytest.mark.parametrize(
    "x",
    [
        random(B, T, I).transpose(0, 1),
        random(T, B, 2 * I)[..., ::2],
        random(1, B, I).expand(T, B, I),
        random(T, I).unsqueeze(1).expand(T, B, I),
    ],
    ids=["transposed", "strided", "same at each step", "same in each row"],
)
def test_inputs_of_any_layout(engine, x):
    assert_same(*pair(LSTM, engine), x=x.requires_grad_())


@every_engine
def test_states_and_gradients_of_any_layout(engine):
    layer, reference = pair(LSTM, engine)
    parts = [random(H, B, seed=5).T, random(1, H).expand(B, H)]
    assert_same(layer, reference, state=type(layer.initial_state(B))(*parts))
    found = []
    for one in (layer, reference):
        x = random(T, B, I).requires_grad_()
        y, _ = one(x, random_state(one))
        y.sum().backward()  # a gradient without memory of its own
        found.append(x.grad)
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)


@every_engine
@pytest.mark.parametrize(("num_steps", "num_rows"), [(1, 1), (1, B), (T, 1), (0, B), (T, 0)])
def test_chunks_of_any_size(engine, num_steps, num_rows):
    x = random(num_steps, num_rows, I).requires_grad_()
    layer, reference = pair(LSTM, engine)
    y, _ = layer(x, random_state(layer, num_rows))
    assert y.shape == (num_steps, num_rows, H)
    if num_steps > 0:
        assert_same(layer, reference, x=x)


@every_engine
def test_an_empty_chunk_hands_its_state_on(engine):
    layer, state = build(LSTM, engine=engine), random_state(build(LSTM))
    state[1].requires_grad_()
    _, after = layer(random(0, B, I), state)
    assert all(map(torch.equal, after, state))
    assert torch.autograd.grad(after[1].sum(), state[1])[0].eq(1).all()


@every_engine
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_autograd_it_gives_the_same_numbers(engine, mode):
    layer, x = build(LSTM, engine=engine), random(T, B, I)
    state = random_state(layer)
    y, after = layer(x, state)
    with mode():
        y_plain, after_plain = build(LSTM, engine=engine)(x, state)  # its first call, too
        assert torch.equal(layer(x, state)[0], y_plain)
    assert not y_plain.requires_grad
    assert torch.equal(y, y_plain)
    assert all(map(torch.equal, after, after_plain))
    layer.requires_grad_(False)
    assert torch.equal(layer(x, state)[0], y_plain)


@every_engine
def test_a_state_made_without_autograd_can_be_trained_on(engine):
    layer, reference = pair(LSTM, engine)
    with torch.no_grad():
        _, state = layer(random(T, B, I, seed=8), layer.initial_state(B))
    assert_same(layer, reference, state=state)


@every_engine
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_layer_that_drew_text_first_has_its_gradients(engine, mode):
    """As one whose first call in eval mode is that of a validation, or of samples."""
    layer, reference = pair(LSTM, engine)
    with mode():
        layer.stepper(random_state(layer))(random(B, I))
    assert_same(layer, reference)


def test_on_the_meta_device_shapes_are_known():
    layer = build(LSTM).to("meta")
    y, after = layer(
        torch.empty(T, B, I, dtype=torch.float64, device="meta"), layer.initial_state(B)
    )
    assert y.shape == (T, B, H)
    assert [part.shape for part in after] == [(B, H)] * 2
    assert {y.device.type, *(part.device.type for part in after)} == {"meta"}


@every_engine
def test_shapes_that_are_wrong_are_told(engine):
    layer, x = build(LSTM, engine=engine), random(T, B, I)
    state = random_state(layer)
    for wrong_x, wrong_state, message in (
        (random(T, B, I + 1), state, r"x has the shape \[6, 3, 5\], not \[T, B, 4\]"),
        (x[0], state, r"x has the shape \[3, 4\]"),
        (
            x,
            random_state(layer, 1),
            r"part of the state is torch.float64 \[1, 5\], not .* \[3, 5\]",
        ),
        (x, state._replace(c_BH=state.c_BH.float()), "part of the state is torch.float32"),
        (x, state._replace(c_BH=state.c_BH.to("meta")), "the state is on meta, x on cpu"),
    ):
        with pytest.raises(ValueError, match=message):
            layer(wrong_x, wrong_state)


@every_engine
def test_a_weight_of_another_shape_or_elsewhere_is_told(engine):
    layer, x = build(LSTM, engine=engine), random(T, B, I)
    state = random_state(layer)
    layer(x, state)
    for wrong, message in (
        (layer.cell.recur.weight[:H], r"recur.weight has the shape \[5, 5\] on cpu, not \[20, 5\]"),
        (layer.cell.recur.weight.to("meta"), r"recur.weight has the shape \[20, 5\] on meta"),
    ):
        layer.cell.recur.weight = torch.nn.Parameter(wrong)
        for mode in (torch.enable_grad, torch.no_grad):
            with mode(), pytest.raises(ValueError, match=message):
                layer(x, state)
        layer.cell.recur.weight = torch.nn.Parameter(random(4 * H, H))


@every_engine
def test_a_wider_state_widens_the_rest(engine):
    layer, x = build(LSTM, engine=engine), random(T, B, I).float()
    state = random_state(layer)
    layer.float()
    y, after = layer(x, state)
    y_wide, after_wide = layer.double()(x.double(), state)
    assert torch.equal(y, y_wide)
    assert all(map(torch.equal, after, after_wide))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_weights_run_in_plain_torch(dtype, caplog):
    layer, reference = (one.to(dtype) for one in pair(LSTM, "auto"))
    y, _ = layer(random(T, B, I).to(dtype), layer.initial_state(B))
    right, _ = reference(random(T, B, I).to(dtype), reference.initial_state(B))
    torch.testing.assert_close(y, right, rtol=0.05, atol=0.05)
    assert layer.settle("cpu", dtype)[0] == "eager"
