"""The floors of a data set by name, and their cache."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import pytest

from charlab.data import ngram_floors as names_floors
from charlab.data.floors import Floor, Floors, cached_floors
from charlab.data.names import NamesCorpus
from charlab.data.ngram_floors import cached_ngram_floors
from charlab.data.vocabulary import Vocabulary

FLOORS = Floors(
    ngrams={1: Floor(3.0, 3.1), 2: Floor(2.0, 2.9), 3: Floor(2.1, 1.9)},
    compressors={"gzip": Floor(2.5, 2.4), "bz2": Floor(1.5, 1.6)},
    note="fitted on a part",
)
LABELS = ["1-gram", "2-gram", "3-gram", "gzip", "bz2"]


def test_bits_are_nats_by_ln_2():
    assert Floor(math.log(8), math.log(2)).val_bpc == pytest.approx(3)
    assert Floor(math.log(8), math.log(2)).test_bpc == pytest.approx(1)


def test_the_best_order_is_chosen_on_validation():
    assert FLOORS.best_order == 2  # though 3 does better on test
    assert list(FLOORS.by_label) == LABELS
    assert FLOORS.by_label["2-gram"] is FLOORS.ngrams[2]
    assert FLOORS.by_label["bz2"] is FLOORS.compressors["bz2"]


def test_metrics_are_bits_on_test():
    assert FLOORS.metrics == {
        "baseline/ngram1_bpc": FLOORS.ngrams[1].test_bpc,
        "baseline/ngram2_bpc": FLOORS.ngrams[2].test_bpc,
        "baseline/ngram3_bpc": FLOORS.ngrams[3].test_bpc,
        "baseline/gzip_bpc": FLOORS.compressors["gzip"].test_bpc,
        "baseline/bz2_bpc": FLOORS.compressors["bz2"].test_bpc,
    }


# ---------------------------------------------------------------------------------------- the cache
class Computation:
    """Counts how often it is asked for."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return FLOORS


def test_floors_are_computed_once(tmp_path):
    path = tmp_path / "new" / "cache" / "floors.json"
    compute = Computation()
    for _ in range(3):
        assert cached_floors(path, LABELS, compute) == FLOORS
    assert compute.calls == 1
    assert list(path.parent.iterdir()) == [path]  # no temporary file is left
    cached_floors(path, LABELS[:-1], compute)  # other labels are wanted
    assert compute.calls == 2


def damaged(**changes):
    return json.dumps(asdict(FLOORS) | changes).encode()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        damaged()[:-9],
        damaged(ngrams={"1": {}}),
        damaged(ngrams={"x": {"val_nats": 1.0, "test_nats": 1.0}}),
        damaged(ngrams={"1": {"val_nats": 1.0, "test_nats": 1.0}}),
        damaged(compressors={"gzip": {"val_nats": math.nan, "test_nats": 1.0}}),
        damaged(compressors={"gzip": {"val_nats": "1", "test_nats": 1.0}}),
        damaged(compressors=[]),
    ],
)
def test_a_damaged_cache_is_computed_anew_and_mended(tmp_path, damage):
    path = tmp_path / "floors.json"
    compute = Computation()
    path.write_bytes(damage)
    assert cached_floors(path, LABELS, compute) == FLOORS
    assert cached_floors(path, LABELS, compute) == FLOORS
    assert compute.calls == 1
    assert Floors.from_plain(json.loads(path.read_text())) == FLOORS


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert cached_floors(blocked / "floors.json", LABELS, Computation()) == FLOORS
    assert cached_floors(blocked / "cache" / "floors.json", LABELS, Computation()) == FLOORS


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert cached_floors(tmp_path / "floors.json", LABELS, Computation()) == FLOORS
    assert list(tmp_path.iterdir()) == []


def test_each_corpus_of_names_has_its_own_file(tmp_path, monkeypatch):
    calls = []

    def counting(corpus, vocabulary):
        calls.append(corpus)
        return compute(corpus, vocabulary)

    compute = names_floors.ngram_floors
    monkeypatch.setattr(names_floors, "ngram_floors", counting)

    def floors_of(corpus):
        return cached_ngram_floors(corpus, Vocabulary.of(corpus.train), cache_dir=tmp_path)

    def corpus_of(val, test):
        return NamesCorpus(("anna", "bob"), val, test, "made up", 4, 0, 0)

    one, other = corpus_of(("an",), ("bo",)), corpus_of(("bo",), ("an",))
    assert floors_of(one) == floors_of(one) == compute(one, Vocabulary.of(one.train))
    assert len(calls) == 1
    assert floors_of(other).ngrams[2].val_nats == floors_of(one).ngrams[2].test_nats
    assert len(calls) == 2
    assert len(list(tmp_path.iterdir())) == 2
