"""The symbols of a stream: bytes or characters, known and unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlab.data.codec import vocabulary_from_plain
from charlab.data.symbols import REPLACEMENT, StreamVocabulary

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(TEXT)
def test_all_bytes_read_any_text(text):
    vocabulary = StreamVocabulary.all_bytes()
    assert vocabulary.encode(text) == list(text.encode())
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert len(vocabulary) == 256
    assert vocabulary.unknown(text) == []
    assert vocabulary.unsampled_ids == ()


@given(TEXT.filter(bool), TEXT)
def test_characters_of_train_and_one_for_all_others(train, text):
    vocabulary = StreamVocabulary.of("chars", map(ord, train))
    known = set(train)
    assert vocabulary.decode(vocabulary.encode(text)) == "".join(
        char if char in known else REPLACEMENT for char in text
    )
    assert vocabulary.unknown(text) == sorted(set(text) - known, key=text.index)
    assert len(vocabulary) == len(known) + 1
    assert vocabulary.unsampled_ids == (len(known),)
    assert [vocabulary.table[ord(char)] for char in text] == vocabulary.encode(text)


def test_own_bytes_have_an_unknown_one():
    vocabulary = StreamVocabulary.of("bytes", b"banana\n")
    assert vocabulary.symbols == (10, 97, 98, 110)
    assert vocabulary.encode("nap") == [3, 1, 4]
    assert vocabulary.table.tolist()[96:100] == [4, 1, 2, 4]
    assert vocabulary.unknown("café bar") == list("cfé r")
    assert vocabulary.decode([2, 1, 4, 3]) == f"ba{REPLACEMENT}n"


def test_bytes_that_are_no_text_come_through_a_command_line():
    vocabulary = StreamVocabulary.all_bytes()
    typed = b"caf\xe9 \xff".decode("utf-8", "surrogateescape")  # as Python reads arguments
    assert vocabulary.encode(typed) == list(b"caf\xe9 \xff")
    assert vocabulary.unknown(typed) == []


def test_a_character_that_is_not_finished_is_left_out():
    vocabulary = StreamVocabulary.all_bytes()
    cut = list("naïve €".encode())
    assert vocabulary.decode(cut[:-1]) == "naïve "
    assert vocabulary.decode(cut[:3] + cut[4:]) == f"na{REPLACEMENT}ve €"


def test_an_empty_prompt_begins_a_line_and_white_space_is_kept():
    vocabulary = StreamVocabulary.all_bytes()
    assert vocabulary.prompt_ids("") == [10]
    assert vocabulary.prompt_ids(" Trump") == list(b" Trump")
    assert vocabulary.clean_prompt(" Trump") == " Trump"


@given(st.sampled_from(["bytes", "chars"]), st.sets(st.integers(0, 255), min_size=1))
def test_plain_containers_round_trip(kind, symbols):
    vocabulary = StreamVocabulary.of(kind, symbols)
    again = vocabulary_from_plain(vocabulary.to_plain())
    assert again == vocabulary
    assert again.fingerprint == vocabulary.fingerprint
    other = StreamVocabulary(kind, vocabulary.symbols, has_unknown=False)
    assert other.fingerprint != vocabulary.fingerprint


@pytest.mark.parametrize(
    ("kind", "symbols"),
    [
        ("bytes", [2, 1]),
        ("bytes", [1, 1]),
        ("bytes", []),
        ("bytes", [256]),
        ("chars", [-1]),
        ("chars", [0x110000]),
        ("words", [1]),
    ],
)
def test_what_is_no_vocabulary_is_refused(kind, symbols):
    with pytest.raises(ValueError, match="each symbol once, in rising order"):
        vocabulary_from_plain({"kind": kind, "symbols": symbols, "has_unknown": True})
