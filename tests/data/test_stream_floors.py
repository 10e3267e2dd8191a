"""Floors of streams against slow implementations: dictionaries, and whole texts in memory."""

import bz2
import gzip
import lzma
import math
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from charlab.config.schema_data import TextConfig
from charlab.data import compressors
from charlab.data import stream_floors as module
from charlab.data.report import SilentReport
from charlab.data.stream_corpus import read_stream
from charlab.data.stream_floors import ORDERS, cached_stream_floors, stream_floors
from charlab.errors import UsageError

HEAD = Path(__file__).parents[2].parent / "shared" / "data" / "enwik8_head.bin"

TEXT = (
    "".join(
        f"{number} grüne Flaschen hängen an der Wand, {number**3} 🍾 fallen.\n"
        for number in range(200)
    )
    + "Ж€"
)
COMPRESS = {
    "gzip": lambda data: gzip.compress(data, 9),
    "bz2": lambda data: bz2.compress(data, 9),
    "xz": lambda data: lzma.compress(data, preset=6),
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """So that a small text has many edges of blocks."""
    monkeypatch.setattr(module, "BLOCK_SYMBOLS", 97)
    monkeypatch.setattr(compressors, "BLOCK_BYTES", 101)


def corpus_of(tmp_path, **options):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    config = TextConfig(
        name="text", path=str(path), **{"val_bytes": 1_500, "test_bytes": 1_700} | options
    )
    return read_stream(config, tmp_path / "cache", SilentReport())


def slow_nats(train, scored, order, num_symbols):
    """Nats a target: all symbols but the first."""
    counts = defaultdict(Counter)
    for at in range(1, len(train)):
        for length in range(min(order, at + 1)):
            counts[tuple(train[at - length : at])][train[at]] += 1
    nats = 0.0
    for at in range(1, len(scored)):
        probability = 1 / num_symbols
        for length in range(min(order, at + 1)):
            seen = counts.get(tuple(scored[at - length : at]))
            if seen is not None:
                total, escapes = seen.total(), len(seen)
                probability = (seen[scored[at]] + escapes * probability) / (total + escapes)
        nats -= math.log(probability)
    return nats / (len(scored) - 1)


def splits_of(corpus):
    """Bytes of each split, read in one go."""
    data = corpus.raw.read_bytes()
    return {split: data[slice(*corpus.byte_bounds(split))] for split in ("train", "val", "test")}


@pytest.mark.parametrize(
    ("options", "num_symbols"),
    [
        ({}, 256),
        ({"vocabulary": "own"}, None),
        ({"symbols": "chars"}, None),
    ],
)
def test_every_symbol_but_the_first_of_a_split_is_a_target(tmp_path, options, num_symbols):
    corpus = corpus_of(tmp_path, **options)
    floors = stream_floors(corpus, SilentReport())
    texts = splits_of(corpus)
    if corpus.vocabulary.kind == "chars":
        texts = {split: part.decode() for split, part in texts.items()}
    known = set(texts["train"])
    if num_symbols is None:
        num_symbols = len(known) + 1
        texts = {
            split: [symbol if symbol in known else "unknown" for symbol in text]
            for split, text in texts.items()
        }
        assert "unknown" in texts["test"]
    assert tuple(floors.ngrams) == ORDERS
    assert floors.note == ""
    for order in ORDERS:
        floor = floors.ngrams[order]
        for split, nats in (("val", floor.val_nats), ("test", floor.test_nats)):
            expected = slow_nats(texts["train"], texts[split], order, num_symbols)
            assert nats == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("symbols", ["bytes", "chars"])
def test_compressors_see_each_split_alone_and_count_the_same_targets(tmp_path, symbols):
    corpus = corpus_of(tmp_path, symbols=symbols)
    floors = stream_floors(corpus, SilentReport())
    splits = splits_of(corpus)
    assert list(floors.compressors) == list(COMPRESS)
    for name, compress in COMPRESS.items():
        for split, bits in (
            ("val", floors.compressors[name].val_bpc),
            ("test", floors.compressors[name].test_bpc),
        ):
            text = splits[split] if symbols == "bytes" else splits[split].decode()
            expected = 8 * len(compress(splits[split])) / (len(text) - 1)
            assert bits == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("symbols", ["bytes", "chars"])
def test_a_bound_takes_the_beginning_of_each_split_and_says_so(tmp_path, symbols):
    corpus = corpus_of(tmp_path, symbols=symbols)
    num_train = corpus.cuts[1]
    num_val, num_test = (stop - start for start, stop in map(corpus.bounds, ("val", "test")))
    assert num_val < num_test
    limits = {"max_train": 1_234, "max_scored": num_val + 1}
    floors = stream_floors(corpus, SilentReport(), **limits)
    unit = {"bytes": "bytes", "chars": "characters"}[symbols]
    assert floors.note == (
        f"n-grams fitted on the first 1,234 of {num_train:,} {unit} of train; "
        f"floors scored on the first {num_val + 1:,} of {num_test:,} {unit} of test"
    )
    texts = splits_of(corpus)
    if symbols == "chars":
        texts = {split: part.decode() for split, part in texts.items()}
    train, test = texts["train"][:1_234], texts["test"][: num_val + 1]
    expected = slow_nats(list(train), list(test), 3, len(corpus.vocabulary))
    # what train lacks has not been seen, be it one symbol or many: no need to make it one here
    assert floors.ngrams[3].test_nats == pytest.approx(expected, rel=1e-12)
    part = test if symbols == "bytes" else test.encode()
    for name, compress in COMPRESS.items():
        bits = 8 * len(compress(part)) / (len(test) - 1)
        assert floors.compressors[name].test_bpc == pytest.approx(bits, rel=1e-12)
        whole = stream_floors(corpus, SilentReport()).compressors[name]
        assert floors.compressors[name].val_nats == whole.val_nats


def test_floors_are_computed_once_for_each_split(tmp_path, monkeypatch):
    calls = []

    def counting(corpus, report):
        calls.append(corpus.fingerprint)
        return stream_floors(corpus, report)

    monkeypatch.setattr(module, "stream_floors", counting)
    cache = tmp_path / "cache"
    corpus = corpus_of(tmp_path)
    first = cached_stream_floors(corpus, cache, SilentReport())
    assert first == stream_floors(corpus, SilentReport())
    assert cached_stream_floors(corpus, cache, SilentReport()) == first
    assert len(calls) == 1
    other = corpus_of(tmp_path, val_bytes=1_000)
    assert cached_stream_floors(other, cache, SilentReport()) != first
    assert len(calls) == 2


def test_a_cache_that_cannot_be_written_is_a_clear_error(tmp_path):
    corpus = corpus_of(tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"paths\.cache is a folder that can be written"):
        cached_stream_floors(corpus, tmp_path / "file" / "cache", SilentReport())


@pytest.mark.slow
def test_floors_of_the_head_of_enwik8(tmp_path, monkeypatch):
    if not HEAD.exists():
        pytest.skip("needs the head of enwik8")
    monkeypatch.undo()  # blocks as they are
    config = TextConfig(name="text", path=str(HEAD))
    corpus = read_stream(config, tmp_path, SilentReport())
    floors = stream_floors(corpus, SilentReport())
    found = [(floor.val_bpc, floor.test_bpc) for floor in floors.ngrams.values()]
    assert found == [
        pytest.approx(reference, abs=0.001)
        for reference in [
            (5.056, 5.121),
            (3.949, 3.878),
            (3.274, 3.083),
            (2.813, 2.564),
            (2.597, 2.307),
            (2.572, 2.260),
        ]
    ]
    assert floors.best_order == 6
