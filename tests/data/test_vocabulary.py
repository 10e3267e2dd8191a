"""The vocabulary: ids by hand, round trips, what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlab.data.codec import vocabulary_from_plain
from charlab.data.vocabulary import REPLACEMENT, SPECIALS, Vocabulary

TEXTS = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=12)


def test_ids_by_hand():
    vocabulary = Vocabulary.of(["bée", "ab", "-"])
    assert vocabulary.symbols == ("<pad>", "<bos>", "<eos>", "<unk>", "-", "a", "b", "e", "é")
    assert (vocabulary.PAD, vocabulary.BOS, vocabulary.EOS, vocabulary.UNK) == (0, 1, 2, 3)
    assert len(vocabulary) == 9
    assert vocabulary.encode("a-xé") == [5, 4, 3, 8]
    assert vocabulary.decode([1, 5, 4, 3, 8, 2, 0, 0]) == f"a-{REPLACEMENT}é"
    assert vocabulary.unknown("xaxyé") == ["x", "y"]


def test_pad_bos_and_unk_are_never_sampled_but_eos_is():
    assert Vocabulary.of(["a"]).unsampled_ids == (0, 1, 3)


@given(TEXTS)
def test_known_text_round_trips(texts):
    vocabulary = Vocabulary.of(texts)
    for text in texts:
        ids = vocabulary.encode(text)
        assert vocabulary.decode(ids) == text
        assert vocabulary.unknown(text) == []
        assert all(len(SPECIALS) <= index < len(vocabulary) for index in ids)


@given(TEXTS, st.text(max_size=20))
def test_unknown_characters_are_marked(texts, text):
    vocabulary = Vocabulary.of(texts)
    known = set("".join(texts))
    expected = "".join(char if char in known else REPLACEMENT for char in text)
    assert vocabulary.decode(vocabulary.encode(text)) == expected
    assert vocabulary.unknown(text) == sorted(set(text) - known, key=text.index)


@given(TEXTS)
def test_plain_containers_round_trip(texts):
    vocabulary = Vocabulary.of(texts)
    again = vocabulary_from_plain(vocabulary.to_plain())
    assert again == vocabulary
    assert again.fingerprint == vocabulary.fingerprint
    assert all(type(symbol) is str for symbol in vocabulary.to_plain()["symbols"])


def test_the_fingerprint_is_of_the_symbols():
    assert Vocabulary.of(["ab"]).fingerprint == Vocabulary.of(["b", "aa"]).fingerprint
    assert Vocabulary.of(["ab"]).fingerprint != Vocabulary.of(["abc"]).fingerprint
    assert len(Vocabulary.of(["ab"]).fingerprint) == 16
    assert int(Vocabulary.of(["ab"]).fingerprint, 16) >= 0


@pytest.mark.parametrize(
    "symbols",
    [
        ["a", "b"],
        [*SPECIALS, "b", "a"],
        [*SPECIALS, "a", "a"],
        [*SPECIALS, "ab"],
        [*SPECIALS, ""],
    ],
)
def test_a_list_that_is_no_vocabulary_is_refused(symbols):
    with pytest.raises(ValueError, match="in the order of their code points, each once; got"):
        vocabulary_from_plain({"kind": "items", "symbols": symbols})
