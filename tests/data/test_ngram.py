"""Witten-Bell n-grams against a slow implementation with dictionaries, and the cache of floors."""

import json
import math
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlab.config.schema import NamesConfig
from charlab.data import ngram_floors as floors_module
from charlab.data.names import NamesCorpus, read_names
from charlab.data.ngram import NgramModel
from charlab.data.ngram_floors import NgramFloor, cached_ngram_floors, ngram_floors
from charlab.data.vocabulary import Vocabulary

KANTROWITZ = Path(__file__).parents[2].parent / "shared" / "data" / "names_kantrowitz.txt"


def slow_nats(train, scored, order, num_symbols):
    """The definition, one symbol at a time: documents are sequences of anything hashable."""

    def contexts(document):
        opened = [None, *document]
        for end in range(1, len(opened)):
            yield opened[end], [tuple(opened[end - k : end]) for k in range(min(order, end + 1))]

    counts = defaultdict(Counter)
    for document in train:
        for symbol, histories in contexts(document):
            for history in histories:
                counts[history][symbol] += 1
    nats = 0.0
    for document in scored:
        for symbol, histories in contexts(document):
            probability = 1 / num_symbols
            for history in histories:
                if history in counts:
                    seen = counts[history]
                    escapes = len(seen)
                    probability = (seen[symbol] + escapes * probability) / (seen.total() + escapes)
            nats -= math.log(probability)
    return nats


def flat(documents):
    ids = np.array([index for document in documents for index in document], np.int64)
    return ids, np.cumsum([0, *map(len, documents)])


def corpus_of(train, val, test):
    return NamesCorpus(
        tuple(train), tuple(val), tuple(test), "made up", num_lines=0, num_blank=0, num_duplicates=0
    )


CORPUS = corpus_of(["anna", "hanna", "ann", "bob"], ["anan", "bo"], ["xann", "nab", "hob"])

DOCUMENTS = st.lists(st.lists(st.integers(0, 4), max_size=8), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS.filter(any), DOCUMENTS, st.integers(1, 6))
def test_scores_are_those_of_the_definition(train, scored, order):
    model = NgramModel(order, num_symbols=5)
    model.fit(*flat(train))
    nats, num_targets = model.score_orders(*flat(scored))
    assert num_targets == sum(map(len, scored))
    expected = [slow_nats(train, scored, k, 5) for k in range(1, order + 1)]
    assert nats == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert model.score(*flat(scored)) == (nats[-1], num_targets)


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS.filter(any), st.lists(st.integers(0, 4), max_size=6), st.integers(1, 6))
def test_the_probabilities_of_what_may_come_next_add_up_to_one(train, before, order):
    model = NgramModel(order, num_symbols=5)
    model.fit(*flat(train))
    prefix_nats, _ = model.score(*flat([before]))
    total = sum(
        math.exp(prefix_nats - model.score(*flat([[*before, symbol]]))[0]) for symbol in range(5)
    )
    assert total == pytest.approx(1, rel=1e-12)


def test_by_hand():
    # Train "0 0 1". Order 1: n(0) = 2, n(1) = 1, T = 2, p(0) = (2 + 2/2) / 5, p(1) = (1 + 2/2) / 5.
    # Order 2: after 0 came 0 and 1, p(1 | 0) = (1 + 2 * 2/5) / 4; at the start came 0 once,
    # p(0 | start) = (1 + 3/5) / 2.
    model = NgramModel(2, num_symbols=2)
    model.fit(*flat([[0, 0, 1]]))
    nats, _ = model.score_orders(*flat([[0, 1]]))
    assert nats[0] == pytest.approx(-math.log(3 / 5) - math.log(2 / 5))
    assert nats[1] == pytest.approx(-math.log(0.8) - math.log(0.45))


def test_many_symbols_and_long_contexts_do_not_overflow():
    # 5,000 symbols to the power of 7 exceed 2^63: keys made of whole contexts would collide.
    generator = np.random.default_rng(0)
    train, scored = generator.integers(0, 5_000, (2, 3_000))
    scored[1_000:2_000] = train[500:1_500]
    model = NgramModel(7, num_symbols=5_000)
    model.fit(*flat([train]))
    expected = slow_nats([train.tolist()], [scored.tolist()], 7, 5_000)
    assert model.score(*flat([scored]))[0] == pytest.approx(expected, rel=1e-12)


def test_floors_of_names_are_those_of_the_definition():
    floors = ngram_floors(CORPUS, Vocabulary.of(CORPUS.train), orders=(1, 3))
    assert list(floors) == [1, 3]
    train = [[*name, "EOS"] for name in CORPUS.train]
    num_targets_possible = len(set("annahannaannbob")) + 2  # EOS and UNK
    for order, floor in floors.items():
        for names, nats_per_token, bpc in (
            (CORPUS.val, floor.val_nats_per_token, floor.val_bpc),
            (CORPUS.test, floor.test_nats_per_token, floor.test_bpc),
        ):
            scored = [[*name, "EOS"] for name in names]
            expected = slow_nats(train, scored, order, num_targets_possible)
            expected /= sum(map(len, scored))
            assert nats_per_token == pytest.approx(expected, rel=1e-12)
            assert bpc == pytest.approx(expected / math.log(2), rel=1e-12)


def test_floors_of_the_kantrowitz_list():
    if not KANTROWITZ.exists():
        pytest.skip("needs the Kantrowitz list")
    corpus = read_names(NamesConfig(name="names", path=str(KANTROWITZ)))
    floors = ngram_floors(corpus, Vocabulary.of(corpus.train))
    test = {order: floor.test_nats_per_token for order, floor in floors.items()}
    # Reference values of another split of the same size; splits differ by less than the tolerance.
    assert [test[2], test[3], test[4]] == pytest.approx([2.359, 2.128, 1.996], abs=0.04)
    # Past order 4 the contexts are too rare for Witten-Bell: it no longer falls.
    assert all(before > after for before, after in pairwise([test[k] for k in (1, 2, 3, 4)]))
    assert 1.9 < test[5] < 2.1


# ---------------------------------------------------------------------------------------- the cache
@pytest.fixture
def counted(monkeypatch):
    calls = []

    def counting(*arguments):
        calls.append(arguments)
        return ngram_floors(*arguments)

    monkeypatch.setattr(floors_module, "ngram_floors", counting)
    return calls


def floors_of(corpus, cache_dir, orders=(1, 2)):
    return cached_ngram_floors(corpus, Vocabulary.of(corpus.train), orders, cache_dir=cache_dir)


def test_floors_are_computed_once_for_each_corpus_and_orders(tmp_path, counted):
    folder = tmp_path / "new" / "cache"
    first = floors_of(CORPUS, folder)
    assert first == ngram_floors(CORPUS, Vocabulary.of(CORPUS.train), (1, 2))
    assert floors_of(CORPUS, folder) == first
    assert len(counted) == 1
    floors_of(CORPUS, folder, orders=(1, 2, 3))
    other = corpus_of(CORPUS.train, CORPUS.test, CORPUS.val)
    assert floors_of(other, folder)[1].val_nats_per_token == first[1].test_nats_per_token
    assert len(counted) == 3
    assert len(list(folder.iterdir())) == 3  # no temporary file is left


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"1": {}}',
        b'{"x": {}, "2": {}}',
        b'{"1": {"val_nats_per_token": NaN, "test_nats_per_token": 1.0}, '
        b'"2": {"val_nats_per_token": 1.0, "test_nats_per_token": 1.0}}',
        b'{"1": {"val_nats_per_token": "1", "test_nats_per_token": 1.0}}',
    ],
)
def test_a_damaged_cache_is_computed_anew_and_mended(tmp_path, counted, damage):
    first = floors_of(CORPUS, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage)
    assert floors_of(CORPUS, tmp_path) == first
    assert floors_of(CORPUS, tmp_path) == first
    assert len(counted) == 2
    assert NgramFloor(**json.loads(path.read_text())["2"]) == first[2]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    expected = ngram_floors(CORPUS, Vocabulary.of(CORPUS.train), (1, 2))
    assert floors_of(CORPUS, blocked / "cache") == expected
    assert floors_of(CORPUS, blocked) == expected


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert floors_of(CORPUS, tmp_path)[1].val_nats_per_token > 0
    assert list(tmp_path.iterdir()) == []
