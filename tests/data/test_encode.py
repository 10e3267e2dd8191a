"""Symbols of a file as ids, against plain Python's decoding of the whole text."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlab.data.encode import (
    char_boundaries,
    encode_all_bytes,
    encode_chars,
    encode_own_bytes,
)
from charlab.data.report import SilentReport
from charlab.errors import UsageError

QUIET = SilentReport()


def written(folder, content):
    path = folder / "text.txt"
    path.write_bytes(content)
    return path


def chars(raw, cuts, cache, block_bytes=1 << 20):
    return encode_chars(raw, "the text", "sum of it", cuts, cache, QUIET, block_bytes)


def ids_of(encoded):
    return encoded.ids.block(0, len(encoded.ids))


def numbered(symbols, num_train):
    """(ids, distinct symbols of train, unknown ones of each split) the slow way."""
    known = sorted(set(symbols[:num_train]))
    numbers = {symbol: index for index, symbol in enumerate(known)}
    return [numbers.get(symbol, len(known)) for symbol in symbols], known


# -------------------------------------------------------------------------------------------- bytes
def test_with_all_bytes_the_file_is_its_ids(tmp_path):
    content = bytes(range(256)) * 2
    encoded = encode_all_bytes(written(tmp_path, content), (0, 500, 506, 512))
    assert ids_of(encoded).tolist() == list(content)
    assert len(encoded.vocabulary) == 256
    assert encoded.cuts == (0, 500, 506, 512)
    assert encoded.num_unknown == {"train": 0, "val": 0, "test": 0}


def test_own_bytes_are_those_of_train_and_one_for_others(tmp_path):
    content = b"abcacb" + b"abz" + b"yzc\xffa"
    raw = written(tmp_path, content)
    for _ in range(2):  # counted, then remembered
        encoded = encode_own_bytes(raw, "sum", (0, 6, 9, 14), tmp_path / "cache", QUIET)
        ids, known = numbered(list(content), 6)
        assert ids_of(encoded).tolist() == ids
        assert list(encoded.vocabulary.symbols) == known == [*b"abc"]
        assert encoded.vocabulary.has_unknown
        assert encoded.num_unknown == {"train": 0, "val": 1, "test": 3}
    other = encode_own_bytes(raw, "sum", (0, 10, 12, 14), tmp_path / "cache", QUIET)
    assert list(other.vocabulary.symbols) == [*b"abcyz"]


def test_own_bytes_are_counted_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("charlab.data.encode.BLOCK_BYTES", 7)
    content = np.random.default_rng(0).integers(0, 40, 200, np.uint8).tobytes()
    raw = written(tmp_path, content)
    encoded = encode_own_bytes(raw, "sum", (0, 20, 110, 200), tmp_path / "cache", QUIET)
    known = set(content[:20])
    lacking = [sum(byte not in known for byte in part) for part in (content[20:110], content[110:])]
    assert set(encoded.vocabulary.symbols) == known
    assert encoded.num_unknown == {"train": 0, "val": lacking[0], "test": lacking[1]}


# --------------------------------------------------------------------------------------- characters
TEXTS = st.text(st.sampled_from("ab\nÿéß€漢字🙂𝄞\u0301\ufeff\U0010ffff"), min_size=30, max_size=60)


@settings(max_examples=30, deadline=None)
@given(
    text=TEXTS,
    at=st.tuples(st.floats(0.1, 0.5), st.floats(0.5, 0.9)),
    block_bytes=st.integers(1, 9),
)
def test_characters_in_blocks_are_those_of_the_whole_text(tmp_path_factory, text, at, block_bytes):
    folder = tmp_path_factory.mktemp("chars")
    content = text.encode()
    raw = written(folder, content)
    planned = (0, *(round(len(content) * part) for part in at), len(content))
    cuts = char_boundaries(raw, planned)
    encoded = chars(raw, cuts, folder / "cache", block_bytes)
    parts = [content[start:stop].decode() for start, stop in pairwise(cuts)]
    assert "".join(parts) == text
    assert all(0 <= cut - plan < 4 for cut, plan in zip(cuts, planned))
    train, val, _ = parts
    assert encoded.cuts == (0, len(train), len(train) + len(val), len(text))
    ids, known = numbered([ord(char) for char in text], len(train))
    assert ids_of(encoded).tolist() == ids
    assert list(encoded.vocabulary.symbols) == known
    lacking = Counter(ids)[encoded.vocabulary.unknown_id]
    assert sum(encoded.num_unknown.values()) == lacking
    assert encoded.num_unknown["val"] == sum(char not in train for char in val)
    assert encoded.num_unknown["train"] == 0


@pytest.mark.parametrize(("char", "moved"), [("é", 1), ("漢", 2), ("🙂", 3)])
def test_a_cut_inside_a_character_moves_to_its_end(tmp_path, char, moved):
    raw = written(tmp_path, f"abc{char}de{char}f".encode())
    end = raw.stat().st_size
    size = len(char.encode())
    for inside in range(1, size):
        assert char_boundaries(raw, (0, 3 + inside, 5 + size, end))[1] == 3 + size
    assert char_boundaries(raw, (0, 3, 5 + size, end)) == (0, 3, 5 + size, end)
    assert char_boundaries(raw, (0, 3, 5 + size + 1, end))[2] == 5 + 2 * size
    assert char_boundaries(raw, (0, 3, end - 1, end))[2] == end - 1
    assert moved == size - 1


@pytest.mark.parametrize(
    ("num_symbols", "dtype"), [(255, "u1"), (256, "<u2"), (65_535, "<u2"), (65_536, "<u4")]
)
def test_the_narrowest_file_that_holds_the_unknown_symbol_too(tmp_path, num_symbols, dtype):
    points = [point for point in range(1, 0x11000) if not 0xD800 <= point < 0xE000][:num_symbols]
    text = "".join(map(chr, points)) + "ab\U0010ffff\U0010fffe"
    content = text.encode()
    end = len(content)
    encoded = chars(written(tmp_path, content), (0, end - 10, end - 8, end), tmp_path / "cache")
    assert len(encoded.vocabulary) == num_symbols + 1
    expected = [*range(num_symbols), 96, 97, num_symbols, num_symbols]
    assert ids_of(encoded).tolist() == expected
    (path,) = (tmp_path / "cache" / "encoded").glob("*.ids")
    assert path.stat().st_size == len(text) * np.dtype(dtype).itemsize


def test_it_is_encoded_once_and_again_for_other_cuts(tmp_path):
    content = "Zoë, Zoé".encode() * 10
    raw = written(tmp_path, content)
    first = chars(raw, (0, 50, 70, 100), tmp_path / "cache")
    (path,) = (tmp_path / "cache" / "encoded").glob("*.ids")
    was = path.stat().st_mtime_ns
    again = chars(raw, (0, 50, 70, 100), tmp_path / "cache")
    assert path.stat().st_mtime_ns == was
    assert ids_of(again).tolist() == ids_of(first).tolist()
    assert (again.cuts, again.num_unknown) == (first.cuts, first.num_unknown)
    assert again.vocabulary == first.vocabulary
    chars(raw, (0, 60, 70, 100), tmp_path / "cache")
    assert len(list((tmp_path / "cache" / "encoded").glob("*.ids"))) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),
        lambda path: path.with_name(path.name + ".json").write_text('{"sha256": "0'),
        lambda path: path.with_name(path.name + ".json").unlink(),
    ],
)
def test_damaged_ids_are_made_again(tmp_path, damage):
    raw = written(tmp_path, "Zoë, Zoé".encode() * 10)
    cuts = (0, 50, 70, 100)
    expected = ids_of(chars(raw, cuts, tmp_path / "cache")).tolist()
    (path,) = (tmp_path / "cache" / "encoded").glob("*.ids")
    damage(path)
    assert ids_of(chars(raw, cuts, tmp_path / "cache")).tolist() == expected


@pytest.mark.parametrize("block_bytes", [1, 5, 1 << 20])
@pytest.mark.parametrize(
    ("content", "got"),
    [
        ("Zoë und Zo\xeb, die".encode("latin-1"), "byte 0xeb at offset 2"),
        ("漢字".encode() + b"\xe6\xbc!", "byte 0xe6 at offset 6"),
        ("漢字 and more".encode() + b"\xe6\xbc", "byte 0xe6 at offset 15"),
        (b"abcdef\xed\xa0\x80", "byte 0xed at offset 6"),  # a surrogate
    ],
)
def test_what_is_not_utf8_is_located(tmp_path, content, got, block_bytes):
    raw = written(tmp_path, content)
    with pytest.raises(UsageError) as caught:
        chars(raw, (0, 6, 6, len(content)), tmp_path / "cache", block_bytes)
    text = str(caught.value)
    assert "the text is not UTF-8" in text
    assert got in text
    assert "data.symbols=bytes reads any file" in text
    assert {path.suffix for path in (tmp_path / "cache" / "encoded").iterdir()} == {".lock"}
