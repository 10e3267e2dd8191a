"""Witten-Bell n-grams, and the floors of names, against a slow implementation with dictionaries."""

import math
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlab.config.schema_data import NamesConfig
from charlab.data.names import NamesCorpus, read_names
from charlab.data.ngram import NgramModel
from charlab.data.ngram_floors import ORDERS, ngram_floors
from charlab.data.vocabulary import Vocabulary

KANTROWITZ = Path(__file__).parents[2].parent / "shared" / "data" / "names_kantrowitz.txt"


def slow_nats(train, scored, order, num_symbols, num_context=1):
    """The definition, one symbol at a time: documents are sequences of anything hashable.

    The first symbol of each document is context only, or the first num_context of a scored one.
    """

    def contexts(document, first):
        for at in range(first, len(document)):
            yield document[at], [tuple(document[at - k : at]) for k in range(min(order, at + 1))]

    counts = defaultdict(Counter)
    for document in train:
        for symbol, histories in contexts(document, 1):
            for history in histories:
                counts[history][symbol] += 1
    nats = 0.0
    for document in scored:
        for symbol, histories in contexts(document, num_context):
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

V = 5
MARK = V  # opens a document, never predicted
SYMBOLS = st.integers(0, V - 1)
OPENED = st.builds(
    lambda mark, rest: [mark, *rest], st.integers(0, MARK), st.lists(SYMBOLS, max_size=8)
)
DOCUMENTS = st.lists(OPENED, min_size=1, max_size=8)


def fitted(train, order, num_symbols=V):
    model = NgramModel(order, num_symbols)
    model.fit(*flat(train))
    return model


def num_targets(documents, num_context=1):
    return sum(max(len(document) - num_context, 0) for document in documents)


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS.filter(num_targets), DOCUMENTS, st.integers(1, 6), st.integers(1, 4))
def test_scores_are_those_of_the_definition(train, scored, order, num_context):
    nats, number = fitted(train, order).score_orders(*flat(scored), num_context)
    assert number == num_targets(scored, num_context)
    expected = [slow_nats(train, scored, k, V, num_context) for k in range(1, order + 1)]
    assert nats == pytest.approx(expected, rel=1e-12, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS.filter(num_targets), OPENED, st.integers(1, 6))
def test_the_probabilities_of_what_may_come_next_add_up_to_one(train, before, order):
    model = fitted(train, order)
    totals = np.zeros(order)
    for symbol in range(V):
        nats, number = model.score_orders(*flat([[*before, symbol]]), len(before))
        assert number == 1
        totals += np.exp(-np.array(nats))
    assert totals == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("block", [1, 2, 3, 10, 1000])
def test_blocks_with_the_context_before_them_score_as_the_whole(order, block):
    generator = np.random.default_rng(0)
    train, scored = generator.integers(0, 3, (2, 300))
    model = fitted([train], order, num_symbols=3)
    whole, number = model.score_orders(*flat([scored]))
    nats = np.zeros(order)
    for first in range(1, len(scored), block):
        start = max(0, first - max(order - 1, 1))
        part = scored[start : first + block]
        part_nats, part_number = model.score_orders(*flat([part]), first - start)
        nats += part_nats
        number -= part_number
    assert nats == pytest.approx(whole, rel=1e-12)
    assert number == 0


def test_by_hand():
    # Train "0 0 1" after the mark. Order 1: n(0) = 2, n(1) = 1, T = 2, so p(0) = (2 + 2/2) / 5 and
    # p(1) = (1 + 2/2) / 5. Order 2: after 0 came 0 and 1, p(1 | 0) = (1 + 2 * 2/5) / 4; after the
    # mark came 0 once, p(0 | mark) = (1 + 3/5) / 2.
    mark = 2
    model = fitted([[mark, 0, 0, 1]], 2, num_symbols=2)
    nats, number = model.score_orders(*flat([[mark, 0, 1]]))
    assert number == 2
    assert nats[0] == pytest.approx(-math.log(3 / 5) - math.log(2 / 5))
    assert nats[1] == pytest.approx(-math.log(0.8) - math.log(0.45))


def test_many_symbols_and_long_contexts_do_not_overflow():
    # 5,000 symbols to the power of 7 exceed 2^63: keys made of whole contexts would collide; the
    # number of grams times 1,000,000 exceeds 2^31, what 32-bit rows can hold.
    generator = np.random.default_rng(0)
    for num_symbols in (5_000, 1_000_000):
        train, scored = generator.integers(0, num_symbols, (2, 3_000))
        scored[1_000:2_000] = train[500:1_500]
        nats, _ = fitted([train], 7, num_symbols).score_orders(*flat([scored]))
        expected = slow_nats([train.tolist()], [scored.tolist()], 7, num_symbols)
        assert nats[-1] == pytest.approx(expected, rel=1e-12)


def test_floors_of_names_are_those_of_the_definition():
    floors = ngram_floors(CORPUS, Vocabulary.of(CORPUS.train))
    assert tuple(floors.ngrams) == ORDERS
    assert floors.compressors == {}
    assert floors.note == ""

    def documents(names):
        return [["BOS", *name, "EOS"] for name in names]

    num_targets_possible = len(set("annahannaannbob")) + 2  # EOS and UNK
    for order, floor in floors.ngrams.items():
        for names, nats in ((CORPUS.val, floor.val_nats), (CORPUS.test, floor.test_nats)):
            scored = documents(names)
            expected = slow_nats(documents(CORPUS.train), scored, order, num_targets_possible)
            assert nats == pytest.approx(expected / num_targets(scored), rel=1e-12)


def test_floors_of_the_kantrowitz_list():
    if not KANTROWITZ.exists():
        pytest.skip("needs the Kantrowitz list")
    corpus = read_names(NamesConfig(name="names", path=str(KANTROWITZ)))
    floors = ngram_floors(corpus, Vocabulary.of(corpus.train))
    test = {order: floor.test_nats for order, floor in floors.ngrams.items()}
    # Reference values of another split of the same size; splits differ by less than the tolerance.
    assert [test[2], test[3], test[4]] == pytest.approx([2.359, 2.128, 1.996], abs=0.04)
    # Past order 4 the contexts are too rare for Witten-Bell: it no longer falls.
    assert all(before > after for before, after in pairwise([test[k] for k in (1, 2, 3, 4)]))
    assert 1.9 < test[5] < 2.1
