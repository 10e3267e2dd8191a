"""Exact scores: sums of nats against numpy, and no mean of means."""

import math

import numpy as np
import pytest
import torch

from charlab.metrics import LossSums, bits_per_char, num_documents, scores, sequence_nats
from charlab.types import IGNORE, Batch

T, B, V = 6, 4, 9


def random_case(seed=0, ignored=0.3):
    source = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(T, B, V, generator=source, dtype=torch.float64)
    targets = torch.randint(V, (T, B), generator=source)
    hidden = torch.rand(T, B, generator=source) < ignored
    return logits, targets.masked_fill(hidden, IGNORE)


def numpy_nats(logits, targets):
    """Nats of each real target, one at a time: log of the sum of exponentials, less its logit."""
    rows = [
        (np.log(np.exp(row).sum()) - row[target])
        for row, target in zip(logits.reshape(-1, V).numpy(), targets.flatten().tolist())
        if target != IGNORE
    ]
    return sum(rows), len(rows)


@pytest.mark.parametrize("ignored", [0.0, 0.3, 0.9])
def test_sequence_nats_are_the_sum_over_real_targets(ignored):
    logits, targets = random_case(ignored=ignored)
    nats, number = sequence_nats(logits, targets)
    expected, expected_number = numpy_nats(logits, targets)
    assert nats.item() == pytest.approx(expected, rel=1e-12)
    assert number.item() == expected_number


def test_what_stands_at_an_ignored_target_does_not_matter():
    logits, targets = random_case()
    changed = logits + 100 * torch.randn(T, B, V, generator=torch.Generator().manual_seed(1)) * (
        targets == IGNORE
    ).unsqueeze(-1)
    assert not torch.equal(changed, logits)
    assert sequence_nats(changed, targets) == sequence_nats(logits, targets)
    nothing = torch.full((T, B), IGNORE)
    assert [value.item() for value in sequence_nats(logits, nothing)] == [0.0, 0]


def test_only_real_targets_have_a_gradient():
    """softmax minus one-hot there, nothing elsewhere."""
    logits, targets = random_case()
    logits.requires_grad_()
    sequence_nats(logits, targets)[0].backward()
    real = targets != IGNORE
    expected = logits.detach().softmax(-1)
    expected[real, targets[real]] -= 1
    torch.testing.assert_close(logits.grad, expected * real.unsqueeze(-1))


def test_sums_over_batches_are_not_means_of_means():
    """40 targets at 1 nat and 10 at 3: 1.4 nats a target, where the mean of means is 2."""
    sums = LossSums()
    for nats, targets, documents in ((40.0, 40, 5), (30.0, 10, 2)):
        sums.add(*(torch.tensor(value) for value in (nats, targets, documents)))
    assert sums.tensor().tolist() == [70.0, 50.0, 7.0]
    named = scores("val", sums.tensor(), "name")
    assert named == {
        "val/loss": pytest.approx(1.4),
        "val/bpc": pytest.approx(1.4 / math.log(2)),
        "val/nats_per_name": pytest.approx(10.0),
    }
    sums.reset()
    assert sums.tensor().tolist() == [0.0, 0.0, 0.0]


def test_scores_of_uneven_batches_are_those_of_all_targets_at_once():
    logits, targets = random_case()
    sums = LossSums()
    means = []
    for part in (slice(0, 1), slice(1, 4)):
        nats, number = sequence_nats(logits[:, part], targets[:, part])
        sums.add(nats, number, torch.tensor(0))
        means.append((nats / number).item())
    expected = np.divide(*numpy_nats(logits, targets))
    assert scores("test", sums.tensor(), None)["test/loss"] == pytest.approx(expected, rel=1e-12)
    assert abs(sum(means) / 2 - expected) > 0.05


def test_names_of_scores():
    sums = torch.tensor([10.0, 5.0, 2.0])
    assert list(scores("val", sums, None)) == ["val/loss", "val/bpc"]
    assert list(scores("train", sums, "line")) == ["train/loss", "train/bpc", "train/nats_per_line"]


def test_a_uniform_guess_has_the_bits_of_its_choices():
    assert bits_per_char(math.log(256)) == pytest.approx(8)
    nats, number = sequence_nats(torch.zeros(T, B, 32), torch.zeros(T, B, dtype=torch.int64))
    assert bits_per_char((nats / number).item()) == pytest.approx(5)


def test_long_sums_keep_their_digits():
    """In float32 this sum stands still at 2^24, long before its end."""
    sums = LossSums()
    sums.add(torch.tensor(2.0**24), torch.tensor(2**24), torch.tensor(0))
    for _ in range(1000):
        sums.add(torch.tensor(1.0), torch.tensor(1), torch.tensor(0))
    assert sums.tensor().tolist() == [2.0**24 + 1000, 2**24 + 1000, 0]


def test_sums_hold_no_graph():
    logits, targets = random_case()
    sums = LossSums()
    nats, number = sequence_nats(logits.requires_grad_(), targets)
    sums.add(nats, number, torch.tensor(1))
    assert nats.requires_grad and not sums.tensor().requires_grad


def test_a_document_is_a_row_that_begins_and_has_a_target():
    targets = torch.zeros(T, B, dtype=torch.int64)
    targets[:, 1] = IGNORE  # filled up
    targets[1:, 2] = IGNORE  # one target is enough
    reset = torch.tensor([True, True, True, False])
    assert num_documents(Batch(torch.zeros_like(targets), targets, reset)).item() == 2
