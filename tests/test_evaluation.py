"""Scores of a text cut into batches are those of one pass over all of it."""

import pytest
import torch

from charlab.config.schema import CustomGRUConfig, LSTMConfig
from charlab.evaluation import batch_nats, evaluate
from charlab.model import build_model
from charlab.types import IGNORE, Batch

T, B, V = 24, 3, 7
CONFIGS = [LSTMConfig(cell="lstm"), CustomGRUConfig(cell="custom_gru")]
NO_RESET = torch.zeros(B, dtype=torch.bool)


@pytest.fixture(params=CONFIGS, ids=lambda config: config.cell)
def model(request):
    model = build_model(request.param, V, 0).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # so that what was read long ago shows
    return model


def text(seed=0, rows=B):
    """(inputs, targets) [T, B], some targets missing."""
    source = torch.Generator().manual_seed(seed)
    tokens = torch.randint(V, (T + 1, rows), generator=source)
    hidden = torch.rand(T, rows, generator=source) < 0.2
    hidden[0] = False  # a chunk without targets begins no document
    return tokens[:-1], tokens[1:].masked_fill(hidden, IGNORE)


def in_batches(inputs, targets, lengths, resets=None):
    """Chunks of these lengths; resets maps the number of a chunk to its reset_B."""
    resets = {0: ~NO_RESET} if resets is None else resets
    chunks = zip(inputs.split(lengths), targets.split(lengths), strict=True)
    return [Batch(x, y, resets.get(number, NO_RESET)) for number, (x, y) in enumerate(chunks)]


def whole_nats(model, inputs, targets):
    """[nats] of each row, read in one go from the initial state."""
    with torch.no_grad():
        logits, _ = model(inputs, model.initial_state(inputs.shape[1]))
    log_probs = logits.log_softmax(-1)
    picked = log_probs.gather(-1, targets.clamp(min=0).unsqueeze(-1))[..., 0]
    return -(picked * (targets != IGNORE)).sum(0)


def assert_close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("lengths", [[T], [1] * T, [5, 1, 10, 8]])
def test_state_is_carried_from_batch_to_batch(model, lengths):
    inputs, targets = text()
    nats, number, documents = evaluate(model, in_batches(inputs, targets, lengths))
    assert_close(nats, whole_nats(model, inputs, targets).sum())
    assert number == (targets != IGNORE).sum()
    assert documents == B


def test_a_reset_row_begins_a_new_document_and_the_others_go_on(model):
    inputs, targets = text()
    resets = {0: ~NO_RESET, 2: torch.tensor([False, True, False])}
    nats, _, documents = evaluate(model, in_batches(inputs, targets, [5, 7, 12], resets))
    others = [0, 2]
    parts = (
        whole_nats(model, inputs[:, others], targets[:, others]),
        whole_nats(model, inputs[:12, 1:2], targets[:12, 1:2]),
        whole_nats(model, inputs[12:, 1:2], targets[12:, 1:2]),
    )
    assert_close(nats, sum(part.sum() for part in parts))
    assert documents == B + 1
    assert abs(nats - whole_nats(model, inputs, targets).sum()) > 1e-3


def test_a_batch_of_another_size_starts_anew(model):
    """Also where its rows claim to go on; the state of other rows is no state of theirs."""
    three, two = text(), text(seed=1, rows=2)
    batches = [
        *in_batches(*three, [12, 12]),
        Batch(*two, torch.tensor([False, False])),
        Batch(*three, NO_RESET),
    ]
    nats, *_ = evaluate(model, batches)
    assert_close(nats, 2 * whole_nats(model, *three).sum() + whole_nats(model, *two).sum())


def test_each_pass_starts_from_nothing(model):
    """A first batch needs no reset, and nothing stays from one call to the next."""
    batches = in_batches(*text(), [10, 14], resets={})
    first, second = evaluate(model, batches), evaluate(model, batches)
    assert torch.equal(first, second)
    assert_close(first[0], whole_nats(model, *text()).sum())


def test_gradients_stop_at_the_edge_of_a_batch(model):
    """Within a batch they flow; the state that is carried on is detached."""
    first, second = in_batches(*text(), [12, 12])
    nats, _, state = batch_nats(model, first, None)
    assert nats.requires_grad
    assert not any(part.requires_grad for layer in state for part in layer)

    def gradient(model_state):
        model.zero_grad()
        batch_nats(model, second, model_state)[0].backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    copies = tuple(type(layer)(*(part.clone() for part in layer)) for layer in state)
    assert all(map(torch.equal, gradient(state), gradient(copies)))
    assert any((grad != 0).any() for grad in gradient(state))


def test_evaluation_leaves_the_model_as_it_is(model):
    """Its mode is the caller's affair, its weights and the global generator stay."""
    batches = in_batches(*text(), [10, 14])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generator = torch.get_rng_state()
    for mode in (True, False):
        evaluate(model.train(mode), batches)
        assert model.training is mode
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(parameter.grad is None for parameter in model.parameters())
