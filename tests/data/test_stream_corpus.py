"""Corpora for streams, read as a run reads them: found, verified, cut, numbered, remembered."""

import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from charlab.config.schema_data import (
    Enwik8CharsConfig,
    Enwik8Config,
    PythonStdlibConfig,
    TextConfig,
)
from charlab.data import checksum, stream_corpus
from charlab.data.report import SilentReport
from charlab.data.stream_corpus import read_stream
from charlab.errors import UsageError

QUIET = SilentReport()
TEXT = "Zoë sagt: 漢字 sind schön. ".encode() * 40
HEAD = Path(__file__).parents[2].parent / "shared" / "data" / "enwik8_head.bin"


def written(folder, content, name="a.txt"):
    path = folder / name
    path.write_bytes(content)
    return path


def text_config(path, **options):
    return TextConfig(name="text", path=str(path), **options)


def read(config, tmp_path):
    return read_stream(config, tmp_path / "cache", QUIET)


def message(config, tmp_path):
    with pytest.raises(UsageError) as caught:
        read(config, tmp_path)
    return str(caught.value), caught.value.option


def ids_of(corpus, split):
    return corpus.ids.block(*corpus.bounds(split)).tolist()


# --------------------------------------------------------------------------------------------- text
@pytest.mark.parametrize("vocabulary", [None, "fixed", "own"])
def test_a_text_as_bytes(tmp_path, vocabulary):
    path = written(tmp_path, TEXT)
    corpus = read(text_config(path, vocabulary=vocabulary), tmp_path)
    size = len(TEXT)
    held_out = round(size * 0.05)
    cuts = (0, size - 2 * held_out, size - held_out, size)
    assert corpus.byte_cuts == corpus.cuts == cuts
    assert (corpus.name, corpus.source) == ("text", str(path))
    assert corpus.path == corpus.raw == path
    assert corpus.content_sha256 == hashlib.sha256(TEXT).hexdigest()
    assert corpus.split_note == f"{cuts[1]:,} / {held_out:,} / {held_out:,} bytes"
    assert corpus.standard
    for index, split in enumerate(("train", "val", "test")):
        start, stop = cuts[index], cuts[index + 1]
        assert corpus.bounds(split) == corpus.byte_bounds(split) == (start, stop)
        part = TEXT[start:stop].decode("utf-8", "ignore")
        assert corpus.vocabulary.decode(ids_of(corpus, split)).strip("\ufffd") == part
    assert len(corpus.vocabulary) == (len(set(TEXT)) + 1 if vocabulary == "own" else 256)


def test_a_text_as_characters(tmp_path):
    train, val, test = "Zoë sagt: 漢字ф", "sagt ж字漢", " sagt Zoë"
    parts = [len(part.encode()) for part in (train, val, test)]
    path = written(tmp_path, (train + val + test).encode())
    # a byte or two too early: inside ф and inside 漢, which both go to the split before
    options = {"symbols": "chars", "val_bytes": parts[1] + 1 - 2, "test_bytes": parts[2] + 2}
    corpus = read(text_config(path, **options), tmp_path)
    assert corpus.byte_cuts == (0, parts[0], parts[0] + parts[1], sum(parts))
    assert corpus.cuts == (0, len(train), len(train + val), len(train + val + test))
    assert corpus.vocabulary.decode(ids_of(corpus, "train")) == train
    assert corpus.vocabulary.decode(ids_of(corpus, "val")) == "sagt \ufffd字漢"
    assert corpus.vocabulary.decode(ids_of(corpus, "test")) == test
    assert corpus.num_unknown == {"train": 0, "val": 1, "test": 0}


def test_a_compressed_text_is_the_same_text(tmp_path):
    plain = read(text_config(written(tmp_path, TEXT)), tmp_path)
    packed = written(tmp_path, gzip.compress(TEXT), "a.txt.gz")
    corpus = read(text_config(packed), tmp_path)
    assert corpus.fingerprint == plain.fingerprint
    assert (corpus.source, corpus.path) == (str(packed), packed)
    assert corpus.raw.is_relative_to(tmp_path / "cache")


def test_a_relative_path_is_made_absolute(tmp_path, monkeypatch):
    written(tmp_path, TEXT)
    monkeypatch.chdir(tmp_path)
    corpus = read(text_config("a.txt"), tmp_path)
    assert (corpus.source, corpus.path, corpus.raw) == ("a.txt", *[tmp_path / "a.txt"] * 2)


def test_the_fingerprint_is_of_all_that_ids_depend_on(tmp_path):
    path = written(tmp_path, TEXT)
    other = written(tmp_path, TEXT[::-1], "b.txt")
    copy = written(tmp_path, TEXT, "c.txt")
    configs = [
        text_config(path),
        text_config(path, val_bytes=50),
        text_config(path, vocabulary="own"),
        text_config(path, symbols="chars"),
        text_config(other),
    ]
    prints = [read(config, tmp_path).fingerprint for config in configs]
    assert len(set(prints)) == len(prints)
    assert all(len(one) == 16 and int(one, 16) >= 0 for one in prints)
    assert read(text_config(copy), tmp_path).fingerprint == prints[0]


def test_the_checksum_is_of_the_file_as_it_is_stored(tmp_path):
    packed = gzip.compress(TEXT)
    path = written(tmp_path, packed, "a.gz")
    right = hashlib.sha256(packed).hexdigest()
    read(text_config(path, sha256=right.upper()), tmp_path)
    text, option = message(text_config(path, sha256="0" * 64), tmp_path)
    assert f"sha256 {right} ({len(packed):,} bytes)" in text
    assert f"data.sha256={right} accepts this file" in text
    assert option == "data.sha256"


def test_a_file_is_hashed_once_while_it_stays_as_it_is(tmp_path, monkeypatch):
    path = written(tmp_path, TEXT)
    first = read(text_config(path), tmp_path)
    hashed = []
    monkeypatch.setattr(checksum.hashlib, "sha256", counting(hashed))
    assert read(text_config(path), tmp_path).content_sha256 == first.content_sha256
    assert len(TEXT) not in hashed
    written(tmp_path, TEXT[::-1])  # of the same size
    changed = read(text_config(path), tmp_path)
    assert len(TEXT) in hashed
    assert changed.content_sha256 != first.content_sha256


def counting(hashed, sha256=hashlib.sha256):
    """sha256 that notes the sizes of the blocks it is fed."""

    class Counting:
        def __init__(self, data=b""):
            self.digest_of = sha256(data)

        def update(self, block):
            hashed.append(len(block))
            self.digest_of.update(block)

        def hexdigest(self):
            return self.digest_of.hexdigest()

    return Counting


@pytest.mark.parametrize(
    ("content", "options", "what"),
    [
        (b"", {}, "is empty"),
        (b"0123456789", {}, "at least 2 bytes each in train, val and test"),
        (
            "漢".encode() * 40,
            {"symbols": "chars", "val_bytes": 3, "test_bytes": 6},
            "40 symbols, cut into 37 train, 1 val and 2 test",
        ),
        (b"0123456789", {"val_bytes": 5, "test_bytes": 5}, "nothing is left to train on"),
        (b"Zo\xeb" * 30, {"symbols": "chars"}, "a.txt is not UTF-8"),
    ],
)
def test_a_text_that_cannot_be_used_says_why(tmp_path, content, options, what):
    assert what in message(text_config(written(tmp_path, content), **options), tmp_path)[0]


def test_options_are_checked_before_anything_is_read(tmp_path):
    config = text_config(written(tmp_path, b"."), predict_across=False)
    assert "a carried state" in message(config, tmp_path)[0]


# ------------------------------------------------------------------------------------------- enwik8
def enwik8(path, content=TEXT, kind=Enwik8Config, **options):
    """A configuration that takes `content` for enwik8."""
    return kind(
        name="enwik8" if kind is Enwik8Config else "enwik8_chars",
        path=str(path),
        num_bytes=len(content),
        content_sha256=hashlib.sha256(content).hexdigest(),
        **{"val_bytes": 100, "test_bytes": 100} | options,
    )


def publish(monkeypatch, content):
    """Let the world's enwik8 be `content`, cut at 200 and 100 bytes before its end."""
    end = len(content)
    monkeypatch.setattr(stream_corpus, "ENWIK8_SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(stream_corpus, "ENWIK8_CUTS", (0, end - 200, end - 100, end))


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("kind", [Enwik8Config, Enwik8CharsConfig])
def test_the_right_content_is_the_standard_corpus(tmp_path, monkeypatch, kind, verify):
    publish(monkeypatch, TEXT)
    path = written(tmp_path, TEXT, "copy")
    corpus = read(enwik8(path, kind=kind, verify=verify), tmp_path)
    assert corpus.standard
    assert corpus.source == "enwik8"
    assert corpus.path == path
    assert all(
        0 <= cut - len(TEXT) + left < 4 for cut, left in zip(corpus.byte_cuts[1:], (200, 100, 0))
    )
    assert corpus.split_note.endswith(" bytes")


def test_another_split_of_the_right_content_is_not_standard(tmp_path, monkeypatch):
    publish(monkeypatch, TEXT)
    corpus = read(enwik8(written(tmp_path, TEXT), val_bytes=50), tmp_path)
    assert not corpus.standard
    size = f"{len(TEXT) - 150:,} / 50 / 100 bytes"
    assert corpus.split_note == f"{size}, not as is published"


@pytest.mark.parametrize("content", [TEXT[:-1], TEXT[::-1], TEXT + b"more"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_is_not_enwik8_is_refused_unless_it_is_asked_for(tmp_path, content, pack):
    path = written(tmp_path, pack(content), "a")
    text, option = message(enwik8(path), tmp_path)
    assert f"{path} is not enwik8" in text
    assert f"{len(TEXT):,} bytes with sha256 {hashlib.sha256(TEXT).hexdigest()}" in text
    if len(content) > len(TEXT) and pack is gzip.compress:
        assert f"more than {len(TEXT):,} bytes" in text
    else:
        assert f"{len(content):,} bytes with sha256 {hashlib.sha256(content).hexdigest()}" in text
    assert "data.verify=false" in text
    assert f"data=text data.path={path}" in text
    assert option == "data.path"

    published = {"val_bytes": Enwik8Config.val_bytes, "test_bytes": Enwik8Config.test_bytes}
    corpus = read(enwik8(path, verify=False, **published), tmp_path)
    held_out = round(len(content) * 0.05)
    sizes = f"{len(content) - 2 * held_out:,} / {held_out:,} / {held_out:,} bytes"
    assert corpus.split_note == f"{sizes} of a file that is not enwik8"
    assert not corpus.standard
    assert corpus.source == str(path)


def test_a_wrong_file_in_the_cache_may_be_deleted(tmp_path):
    (tmp_path / "cache" / "enwik8").mkdir(parents=True)
    path = written(tmp_path / "cache" / "enwik8", TEXT[:-1], "enwik8")
    config = enwik8("unused")
    config.path = None
    text, _ = message(config, tmp_path)
    assert f"{path} is not enwik8" in text
    assert "delete it to fetch enwik8 again" in text


def test_the_head_of_enwik8_has_the_counts_of_its_reference(tmp_path):
    if not HEAD.exists():
        pytest.skip("needs the head of enwik8")
    options = {"path": str(HEAD), "verify": False}
    corpus = read(Enwik8Config(name="enwik8", vocabulary="own", **options), tmp_path)
    assert len(set(HEAD.read_bytes())) == len(corpus.vocabulary.symbols) == 200
    assert corpus.content_sha256.startswith("d502ac7ecb9d")
    assert corpus.byte_cuts == (0, 3_738_959, 3_946_679, 4_154_399)
    note = "3,738,959 / 207,720 / 207,720 bytes of a file that is not enwik8"
    assert corpus.split_note == note
    chars = read(Enwik8CharsConfig(name="enwik8_chars", **options), tmp_path)
    text = HEAD.read_bytes().decode()
    train = text[: chars.cuts[1]]
    assert chars.cuts[3] == len(text)
    assert len(train.encode()) == chars.byte_cuts[1]
    assert len(chars.vocabulary) == len(set(train)) + 1
    assert chars.vocabulary.decode(ids_of(chars, "train")) == train
    known = set(train)
    lacking = [char for char in text[chars.cuts[1] :] if char not in known]
    assert sum(chars.num_unknown.values()) == len(lacking) == 55


# ------------------------------------------------------------------------------------ python_stdlib
def test_the_standard_library_needs_no_file(tmp_path):
    corpus = read(PythonStdlibConfig(name="python_stdlib"), tmp_path)
    assert "standard library" in corpus.source
    assert corpus.path is None
    assert corpus.standard
    train = corpus.ids.block(*corpus.bounds("train"))
    test = corpus.ids.block(*corpus.bounds("test"))
    # alike: the share of the commonest byte, the space
    shares = [np.mean(part == ord(" ")) for part in (train, test)]
    assert shares[0] == pytest.approx(shares[1], rel=0.3)


def test_torch_is_not_imported():
    code = "import sys, charlab.data.stream_corpus; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
