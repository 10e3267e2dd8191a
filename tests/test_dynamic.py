"""Dynamic evaluation against the rule written out in numpy, one step at a time."""

import numpy as np
import pytest
import torch

from charlab.config.schema import CustomGRUConfig, LSTMConfig, ModelConfig
from charlab.dynamic import (
    DynamicSettings,
    GradientStatistics,
    dynamic_evaluate,
    gradient_statistics,
)
from charlab.evaluation import evaluate
from charlab.model import build_model
from charlab.types import IGNORE, Batch

V, WINDOW = 7, 4
CONFIGS = [
    LSTMConfig(cell="lstm", hidden_size=5, embedding_size=3),
    ModelConfig(cell="gru", hidden_size=5, embedding_size=3, num_layers=2),
    CustomGRUConfig(cell="custom_gru", hidden_size=5, embedding_size=3, tie_weights=True),
]
SETTINGS = DynamicSettings(lr=0.05, decay=0.3, eps=0.01, window=WINDOW)


def built(config):
    return build_model(config, V, 0).double().eval()


@pytest.fixture(params=CONFIGS, ids=lambda config: config.cell)
def model(request):
    return built(request.param)


def text(length=25, seed=0):
    return torch.randint(V, (length,), generator=torch.Generator().manual_seed(seed))


def batches_of(tokens):
    """One lane; the first segment begins a document, the last one is shorter."""
    found = []
    for first in range(0, len(tokens) - 1, WINDOW):
        part = tokens[first : first + WINDOW + 1, None]
        found.append(Batch(part[:-1], part[1:], torch.tensor([first == 0])))
    return found


def weights(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def statistics_of(model):
    return gradient_statistics(model, batches_of(text(seed=1)), 100)


class Reference:
    """The rule in numpy; gradients by backward(), the state carried by hand."""

    def __init__(self, config):
        self.model = built(config)
        self.state = self.model.initial_state(1)
        self.trained = [weight.numpy() for weight in weights(self.model)]

    def gradients(self, batch):
        """(gradients of the mean nats, nats of each target); goes on in the text."""
        self.model.zero_grad()
        logits, state = self.model(batch.inputs_TB, self.state)
        log_probs = logits[:, 0].log_softmax(-1)
        nats = -log_probs[torch.arange(len(log_probs)), batch.targets_TB[:, 0]]
        nats.mean().backward()
        self.state = tuple(type(layer)(*(part.detach() for part in layer)) for layer in state)
        gradients = [parameter.grad.numpy().copy() for parameter in self.model.parameters()]
        return gradients, nats.detach().numpy()

    def update(self, gradients, rms, settings):
        average = np.concatenate([values.ravel() for values in rms]).mean()
        with torch.no_grad():
            for parameter, trained, gradient, value in zip(
                self.model.parameters(), self.trained, gradients, rms, strict=True
            ):
                theta = parameter.numpy()
                norm = np.minimum(value / average, 1 / settings.decay)
                step = settings.lr * gradient / (value + settings.eps)
                parameter.copy_(
                    torch.from_numpy(
                        theta - step + settings.decay * norm * (trained - theta),
                    )
                )


def test_statistics_are_the_root_of_the_mean_square(model, request):
    config = request.node.callspec.params["model"]
    reference = Reference(config)
    batches = batches_of(text())
    squares = [np.square(reference.gradients(batch)[0][2]) for batch in batches[:3]]
    before = weights(model)
    found = gradient_statistics(model, batches, 3)
    np.testing.assert_allclose(found.rms[2].numpy(), np.sqrt(sum(squares) / 3), rtol=1e-10)
    assert [rms.shape for rms in found.rms] == [weight.shape for weight in before]
    assert all(map(torch.equal, before, weights(model)))
    few, more = gradient_statistics(model, batches, 1_000), gradient_statistics(model, batches, 6)
    assert len(batches) == 6
    assert all(map(torch.equal, few.rms, more.rms))


def test_each_step_is_that_of_the_paper(model, request):
    statistics = statistics_of(model)
    reference = Reference(request.node.callspec.params["model"])
    rms = [values.numpy() for values in statistics.rms]
    assert any((rates == 1).any() for rates in statistics.rates(SETTINGS.decay)), "none is clipped"
    nats = []
    for batch in batches_of(text()):
        gradients, scored = reference.gradients(batch)
        nats += scored.tolist()
        reference.update(gradients, rms, SETTINGS)
    found = dynamic_evaluate(model, batches_of(text()), statistics, SETTINGS)
    assert found.tolist() == pytest.approx([sum(nats), 24, 1], rel=1e-10)


def test_a_learning_rate_of_zero_is_static_evaluation(model):
    statistics = statistics_of(model)
    still = DynamicSettings(lr=0.0, decay=0.3, eps=0.01, window=WINDOW)
    found = dynamic_evaluate(model, batches_of(text()), statistics, still)
    assert torch.equal(found, evaluate(model, batches_of(text())))
    moved = dynamic_evaluate(model, batches_of(text()), statistics, SETTINGS)
    assert abs(found[0] - moved[0]) > 1e-3


def test_a_target_is_scored_before_anything_is_learned_from_it(model):
    """Steps so large that nothing sensible is left: the first segment does not notice."""
    statistics = statistics_of(model)
    wild = DynamicSettings(lr=100.0, decay=0.0, eps=0.01, window=WINDOW)
    first, *rest = batches_of(text())
    alone = dynamic_evaluate(model, [first], statistics, wild)
    assert torch.equal(alone, evaluate(model, [first]))
    both = dynamic_evaluate(model, [first, rest[0]], statistics, wild)
    assert both[0] - alone[0] > 5 * alone[0]


def test_what_comes_later_changes_no_score(model):
    """The scores of a beginning are the same whatever follows it, targets of its end included."""
    statistics = statistics_of(model)
    one, other = text(), text()
    other[14:] = (other[14:] + 1) % V

    def running(tokens):
        batches = batches_of(tokens)
        return [
            dynamic_evaluate(model, batches[:number], statistics, SETTINGS)[0].item()
            for number in range(1, len(batches) + 1)
        ]

    nats, other_nats = running(one), running(other)
    assert nats[:3] == other_nats[:3]  # targets up to position 12
    assert nats[3] != other_nats[3]


def test_a_text_that_repeats_itself_is_learned():
    """What dynamic evaluation is for."""
    model = built(CONFIGS[1])
    repeated = text(length=5).repeat(60)
    statistics = statistics_of(model)
    settings = DynamicSettings(lr=0.05, decay=1e-4, eps=0.01, window=WINDOW)
    static = evaluate(model, batches_of(repeated))
    dynamic = dynamic_evaluate(model, batches_of(repeated), statistics, settings)
    assert dynamic[0] < static[0] / 2


def test_a_segment_without_targets_only_pulls_back(model):
    statistics = statistics_of(model)
    first, second, third = batches_of(text())[:3]
    blank = second._replace(targets_TB=torch.full_like(second.targets_TB, IGNORE))
    nats, number, _ = dynamic_evaluate(model, [first, blank, third], statistics, SETTINGS)
    assert number == 8
    assert torch.isfinite(nats)


# -------------------------------------------------------------------------------------- as it was
def test_weights_modes_and_gradients_are_left_as_they_were(model):
    statistics = statistics_of(model)
    before = weights(model)
    model.train()
    model.dropout.eval()
    modes = [module.training for module in model.modules()]
    first = dynamic_evaluate(model, batches_of(text()), statistics, SETTINGS)
    assert all(map(torch.equal, before, weights(model)))
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(first, dynamic_evaluate(model, batches_of(text()), statistics, SETTINGS))


def test_weights_are_left_as_they_were_by_an_error(model):
    statistics = statistics_of(model)
    before = weights(model)

    def broken():
        yield from batches_of(text())[:3]
        assert not all(map(torch.equal, before, weights(model)))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dynamic_evaluate(model, broken(), statistics, SETTINGS)
    assert all(map(torch.equal, before, weights(model)))
    assert not any(module.training for module in model.modules())


def test_gradients_are_recorded_where_the_caller_records_none(model):
    statistics = statistics_of(model)
    expected = dynamic_evaluate(model, batches_of(text()), statistics, SETTINGS)
    with torch.no_grad():
        again = statistics_of(model)
        assert torch.equal(dynamic_evaluate(model, batches_of(text()), again, SETTINGS), expected)
        assert not torch.is_grad_enabled()


def test_rates_by_hand():
    statistics = GradientStatistics((torch.tensor([0.0, 1.0]), torch.tensor([[1.0], [6.0]])))
    first, second = statistics.rates(0.4)  # the average is 2
    torch.testing.assert_close(first, torch.tensor([0.0, 0.2]))
    torch.testing.assert_close(second, torch.tensor([[0.2], [1.0]]))
