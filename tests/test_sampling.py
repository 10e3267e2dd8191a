"""Sampling against a sampler that re-reads the whole text, and against exact distributions."""

import pytest
import torch

from charlab.config.schema import ModelConfig
from charlab.data.vocabulary import Vocabulary
from charlab.errors import TrainingDiverged
from charlab.model import build_model
from charlab.sampling import CHECK_EVERY, Sample, sample

from .sampling_models import (
    BOS,
    CHARACTERS,
    EOS,
    PAD,
    UNK,
    VOCABULARY,
    Letters,
    TableModel,
    V,
    frequencies,
    generator,
    random_table,
)


def real_model(cell="gru"):
    config = ModelConfig(cell=cell, hidden_size=24, num_layers=2, embedding_size=8)
    model = build_model(config, V, 0).double()
    with torch.no_grad():
        model.head.weight.mul_(20)  # far from uniform
    return model


# ------------------------------------------------------------------- by definition, prefix and all
def naive(model, codec, source, prompts, temperatures, num_samples, max_length):
    """Every character from a fresh state and the whole text before it; one draw for all rows."""
    model.eval()
    rows = [
        (prompt, temperature, ([] if codec.eos_id is None else [BOS]) + codec.encode(prompt))
        for prompt in prompts
        for temperature in temperatures
        for _ in range(num_samples)
    ]
    drawn = [[] for _ in rows]
    for _ in range(max_length):
        probs, greedy = [], []
        for (_, temperature, read), ids in zip(rows, drawn, strict=True):
            text = torch.tensor(read + ids)[:, None]
            logits = model(text, model.initial_state(1))[0][-1, 0].float()
            logits[list(codec.unsampled_ids)] = -torch.inf
            probs.append((logits / (temperature or 1)).softmax(-1))
            greedy.append(logits.argmax().item() if temperature == 0 else None)
        ids = torch.multinomial(torch.stack(probs), 1, generator=source)[:, 0].tolist()
        for row, index, best in zip(drawn, ids, greedy, strict=True):
            row.append(index if best is None else best)
        if all(codec.eos_id in row for row in drawn):
            break
    samples = []
    for (prompt, temperature, _), ids in zip(rows, drawn, strict=True):
        ended = codec.eos_id in ids
        kept = ids[: ids.index(codec.eos_id)] if ended else ids
        samples.append(Sample(prompt, temperature, prompt + codec.decode(kept), ended))
    return samples


@pytest.mark.parametrize("temperatures", [[0.0, 0.7, 1.5], [1.0, 0.0], [1.0]])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["table", "letters", "gru", "tied"])
def test_equals_a_sampler_that_reads_the_whole_text_again(kind, seed, temperatures):
    """Same draws, greedy and not, with prompts of different lengths side by side."""
    codec = Letters() if kind == "letters" else VOCABULARY
    model = {
        "table": lambda: TableModel(random_table()),
        "letters": lambda: TableModel(random_table(width=9)),
        "gru": real_model,
        "tied": lambda: build_model(
            ModelConfig(cell="gru", num_layers=3, hidden_size=16, tie_weights=True), V, seed
        ),
    }[kind]()
    prompts = ["b", "abcde", "ba"] if kind == "letters" else ["", "abcde", "b a"]
    options = {"num_samples": 3, "max_length": 9}
    fast = sample(
        model, codec, generator(seed), prompts=prompts, temperatures=temperatures, **options
    )
    slow = naive(model, codec, generator(seed), prompts, temperatures, **options)
    assert fast == slow
    assert [(one.prompt, one.temperature) for one in fast] == [
        (prompt, t) for prompt in prompts for t in temperatures for _ in range(3)
    ]
    assert len({one.text for one in fast}) >= 9


@pytest.mark.parametrize("prompt", ["", "a", "abc dej"])
def test_a_prompt_is_read_once_then_one_symbol_a_character(prompt):
    model = TableModel(random_table())
    sample(
        model,
        VOCABULARY,
        generator(),
        prompts=[prompt, "bb"],
        temperatures=(0.5, 1.0),
        num_samples=5,
        max_length=30,
    )
    assert model.fed[:2] == [(len(prompt) + 1, 10), (3, 10)]
    assert set(model.fed[2:]) == {(1, 20)}
    assert 5 < len(model.fed) - 2 <= 30


def test_white_space_before_a_prompt_is_dropped():
    """As the data drop it; the label keeps the prompt as it was given."""
    model = real_model()
    plain = sample(model, VOCABULARY, generator(), prompts=["ab c"], num_samples=4)
    spaced = sample(model, VOCABULARY, generator(), prompts=[" \t ab c"], num_samples=4)
    assert [one.text for one in spaced] == [one.text for one in plain]
    assert {one.prompt for one in spaced} == {" \t ab c"}
    assert all(one.text.startswith("ab c") for one in spaced)
    assert VOCABULARY.prompt_ids("  ab ") == [BOS, *VOCABULARY.encode("ab ")]


# ---------------------------------------------------------------------------------------- the draws
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_frequencies_are_those_of_the_distribution(temperature):
    """Chi-square with V - 4 degrees of freedom, within 4 of its standard deviations."""
    logits = random_table(1, scale=1.0)[0].double()
    expected = (logits / temperature).exp().numpy()
    expected[[PAD, BOS, UNK]] = 0
    expected *= 20_000 / expected.sum()
    counts = frequencies(logits, temperatures=[temperature])
    possible = expected > 0
    chi_square = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
    degrees = possible.sum() - 1
    assert chi_square < degrees + 4 * (2 * degrees) ** 0.5
    assert counts[~possible].sum() == 0
    assert (counts[possible] > 0).all()


def test_temperature_0_takes_the_likeliest_symbol_that_is_allowed():
    logits = [9.0, 8.0, 1.0, 7.0, 2.0, 5.0, 4.0]  # the highest three are banned: PAD, BOS, UNK
    codec = Vocabulary.of(["abc"])
    assert frequencies(logits, 50, codec, temperatures=[0.0]).tolist() == [0, 0, 0, 0, 0, 50, 0]
    for filtered in ({"top_k": 1}, {"top_p": 1e-6}):
        counts = frequencies(logits, 200, codec, temperatures=[5.0], **filtered)
        assert counts.tolist() == [0, 0, 0, 0, 0, 200, 0]


def test_a_low_temperature_tends_to_the_likeliest():
    logits = torch.zeros(V)
    logits[5] = 0.5
    shares = [
        frequencies(logits, 2_000, temperatures=[temperature])[5] / 2_000
        for temperature in (100.0, 1.0, 0.3, 0.1, 0.01)
    ]
    assert shares == sorted(shares)
    assert shares[0] < 0.13 and shares[-1] == 1.0


def test_banned_symbols_are_never_drawn():
    """Not even where the model is sure of them, and at no temperature."""
    logits = torch.zeros(V)
    logits[[PAD, BOS, UNK]] = 50.0
    for options in ({}, {"top_k": 2}, {"top_p": 0.5}, {"top_k": 100, "top_p": 0.99}):
        counts = frequencies(logits, 500, temperatures=[0.0, 1.0, 100.0], **options)
        assert counts[[PAD, BOS, UNK]].sum() == 0
        assert counts.sum() == 1500


# ------------------------------------------------------------------------------------------ the end
def test_the_end_symbol_ends_a_text_and_the_length_cuts_it():
    """After a sum of ids s, the model is sure of "a" until the fourth symbol, then of the end."""
    a = VOCABULARY.encode("a")[0]
    table = torch.full((BOS + 5 * a, V), -1e9)
    table[:, a] = 0.0
    table[BOS + 4 * a] = -1e9
    table[BOS + 4 * a, EOS] = 0.0

    def drawn(max_length, prompt):
        model = TableModel(table)
        return sample(
            model, VOCABULARY, generator(), prompts=[prompt], max_length=max_length
        ), model

    assert drawn(10, "")[0] == [Sample("", 1.0, "aaaa", True)]
    assert drawn(5, "")[0] == [Sample("", 1.0, "aaaa", True)]
    assert drawn(4, "")[0] == [Sample("", 1.0, "aaaa", False)]
    assert drawn(1, "")[0] == [Sample("", 1.0, "a", False)]
    assert drawn(2, "aa")[0] == [Sample("aa", 1.0, "aaaa", False)]
    assert drawn(3, "aa")[0] == [Sample("aa", 1.0, "aaaa", True)]
    assert len(drawn(50, "")[1].fed) == 5, "nothing is read once all texts have ended"


def test_texts_side_by_side_end_each_by_itself():
    """What a row draws after its end is no part of its text."""
    drawn = sample(
        TableModel(random_table()), VOCABULARY, generator(), num_samples=200, max_length=10
    )
    ended = [one for one in drawn if one.ended]
    cut = [one for one in drawn if not one.ended]
    assert len(ended) > 20 and len(cut) > 10
    assert {len(one.text) for one in cut} == {10}
    assert {len(one.text) for one in ended} == set(range(10))
    assert all(set(one.text) <= set(CHARACTERS) for one in drawn)


def test_a_vocabulary_without_an_end_is_always_cut():
    drawn = sample(
        TableModel(random_table(width=9)), Letters(), generator(), prompts=["a"], max_length=7
    )
    assert [(len(one.text), one.ended) for one in drawn] == [(8, False)]


# --------------------------------------------------------------------------------- what it leaves
@pytest.mark.parametrize("training", [True, False])
def test_the_global_generator_and_the_mode_of_the_model_stay(training):
    for model in (real_model().train(training), TableModel(random_table()).train(training)):
        before = torch.get_rng_state()
        sample(model, VOCABULARY, generator(), temperatures=[0.0, 1.0], num_samples=3)
        assert torch.equal(torch.get_rng_state(), before)
        assert model.training is training


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fail_at", [1, 3])
def test_a_model_that_fails_comes_back_in_its_mode(training, fail_at):
    """Be it on the prompt or on the way."""
    model = TableModel(random_table(width=9), fail_at=fail_at).train(training)
    with pytest.raises(RuntimeError, match="out of memory"):
        sample(model, Letters(), generator(), prompts=["a"])
    assert model.training is training
    assert len(model.fed) == fail_at


@pytest.mark.parametrize("first_nan", [0, 3])
def test_a_model_that_diverged_is_named_as_such(first_nan):
    """NaN or infinity, be it after the prompt or further on: here after so many letters "b"."""
    for value in (torch.nan, torch.inf):
        table = torch.full((9, 9), -1e9)
        table[:, 1] = 0.0
        table[first_nan] = value
        model = TableModel(table).train(True)
        with pytest.raises(TrainingDiverged, match="the model's logits are not finite") as caught:
            sample(model, Letters(), generator(), prompts=["a"], max_length=8)
        # right whether it was trained with clipping or without
        assert "trainer.gradient_clip=1 or less (0 is off)" in caught.value.hint
        assert model.training


@pytest.mark.parametrize("codec", [Letters(), VOCABULARY], ids=["no end", "end"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", ["first", "last", "far"])
def test_one_logit_that_is_not_finite_is_enough(codec, value, place):
    """After the prompt, before the last character, or long before it; of any symbol."""
    width, after = (9, 0) if codec.eos_id is None else (V, BOS)
    prompt = "" if codec.eos_id is not None else "a"
    (one,) = codec.encode("b")
    length, steps = {"first": (5, 0), "last": (5, 4), "far": (3 * CHECK_EVERY, CHECK_EVERY + 2)}[
        place
    ]
    table = torch.full((after + one * length + 1, width), -1e9)
    table[:, one] = 0.0
    table[after + one * steps, -1] = value  # no text goes on to it but where it is likely
    model = TableModel(table)
    options = {"prompts": [prompt], "num_samples": 2}
    with pytest.raises(TrainingDiverged, match="the model's logits are not finite"):
        sample(model, codec, generator(), max_length=length, **options)
    assert len(model.fed) <= steps + CHECK_EVERY
    if steps:
        assert sample(model, codec, generator(), max_length=steps, **options)


def test_dropout_is_off_while_sampling():
    config = ModelConfig(cell="gru", hidden_size=24, dropout=0.9)
    model = build_model(config, V, 0).train()
    options = {"temperatures": [0.0], "max_length": 30}
    first = sample(model, VOCABULARY, generator(1), **options)
    model.dropout.p = 0.0
    assert sample(model, VOCABULARY, generator(2), **options) == first


def test_the_seed_decides_every_sample():
    model, options = real_model(), {"temperatures": [1.0], "num_samples": 20}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = sample(model, VOCABULARY, generator(7), **options)
        torch.manual_seed(2)
        assert sample(model, VOCABULARY, generator(7), **options) == first
    assert sample(model, VOCABULARY, generator(8), **options) != first
    source = generator(7)
    assert sample(model, VOCABULARY, source, **options) == first
    assert sample(model, VOCABULARY, source, **options) != first
