"""top_k and top_p against their definitions in numpy, by themselves and while sampling."""

import numpy as np
import pytest
import torch

from charlab.sampling import Filter

from .sampling_models import BOS, PAD, UNK, V, frequencies, random_table


def kept_set(logits, top_k, top_p):
    """In numpy: symbols as likely as the k-th or more; of these the likeliest that reach the mass.

    Also how far the mass is from the limit, in which float32 may decide either way.
    """
    kept = np.isfinite(logits)
    if top_k is not None:
        kept &= logits >= np.sort(logits)[::-1][min(top_k, len(logits)) - 1]
    margin = np.inf
    if top_p is not None:
        mass = np.where(kept, np.exp(logits - logits.max()), 0)
        mass /= mass.sum()
        order = np.argsort(-mass, kind="stable")
        reached, inside = 0.0, []
        for index in order:
            if inside and top_p < 1:
                margin = min(margin, abs(reached - top_p))
            if inside and reached >= top_p:
                break
            inside.append(index)
            reached += mass[index]
        kept &= np.isin(np.arange(len(logits)), inside)
    return set(np.flatnonzero(kept)), margin


def filtered_set(logits, top_k, top_p):
    kept = Filter(top_k, top_p)(torch.tensor(logits, dtype=torch.float32)[None])[0]
    inside = torch.isfinite(kept)
    assert torch.equal(kept[inside], torch.tensor(logits, dtype=torch.float32)[inside])
    return set(torch.nonzero(inside)[:, 0].tolist())


@pytest.mark.parametrize("top_k", [None, 1, 2, 7, V, V + 1, 1000])
@pytest.mark.parametrize("top_p", [None, 1e-9, 0.3, 0.75, 0.999, 1.0])
def test_filters_keep_exactly_the_right_symbols(top_k, top_p):
    """On 40 rows at once, each by the definition in numpy."""
    rows = random_table(40, seed=5, scale=1.5)
    rows[:, [PAD, BOS, UNK]] = -torch.inf
    together = torch.isfinite(Filter(top_k, top_p)(rows))
    num_checked = 0
    for row, kept in zip(rows.double().numpy(), together, strict=True):
        expected, margin = kept_set(row, top_k, top_p)
        if margin > 1e-6:
            assert set(torch.nonzero(kept)[:, 0].tolist()) == expected
            assert filtered_set(row, top_k, top_p) == expected
            num_checked += 1
    assert num_checked >= 38


def test_symbols_as_likely_as_the_last_one_of_top_k_stay():
    logits = [1.0, 3.0, 2.0, 2.0, 2.0, 0.0]
    assert filtered_set(logits, 1, None) == {1}
    assert filtered_set(logits, 2, None) == filtered_set(logits, 4, None) == {1, 2, 3, 4}
    assert filtered_set(logits, 5, None) == {0, 1, 2, 3, 4}


def test_of_equally_likely_symbols_top_p_keeps_as_many_as_the_mass_takes():
    for top_p, number in ((0.05, 1), (0.2, 2), (0.49, 4), (0.51, 5), (0.9, 8), (1.0, 8)):
        assert len(filtered_set([0.5] * 8, None, top_p)) == number


def test_top_p_1_keeps_every_symbol_however_unlikely():
    assert filtered_set([0.0, -20.0, -60.0], None, 1.0) == {0, 1, 2}


@pytest.mark.parametrize(
    "options", [{"top_k": 3}, {"top_p": 0.6}, {"top_k": 4, "top_p": 0.8}, {"top_k": 100}]
)
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_draws_are_from_the_symbols_kept_at_that_temperature(options, temperature):
    """Temperature first, then top_k, then top_p of what is left, then all of these and no other."""
    logits = random_table(1, seed=8, scale=0.7)[0]
    scaled = logits.double().numpy() / temperature
    scaled[[PAD, BOS, UNK]] = -np.inf
    expected, margin = kept_set(scaled, options.get("top_k"), options.get("top_p"))
    assert margin > 1e-3
    counts = frequencies(logits, 5_000, temperatures=[temperature], **options)
    assert set(np.flatnonzero(counts)) == expected
