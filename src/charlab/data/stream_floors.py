"""Floors of a stream: n-grams fitted on train, and compressors, on val and test."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charlab.data.blocks import blocks_of
from charlab.data.compressors import COMPRESSORS, compressed_sizes
from charlab.data.floors import Floor, Floors, cached_floors, read_floors
from charlab.data.memory import give_back
from charlab.data.ngram import NgramModel
from charlab.data.report import Report, SilentReport
from charlab.data.splits import Split
from charlab.data.stream_corpus import StreamCorpus
from charlab.files import locked

ORDERS = (1, 2, 3, 4, 5, 6)
# What keeps the first run short and the memory of the counts below 400 MB.
MAX_TRAIN_SYMBOLS = 4_000_000
MAX_SCORED_SYMBOLS = 5_000_000
BLOCK_SYMBOLS = 1 << 18

# what of each split is used, from its beginning: start, stop in symbols
Parts = dict[Split, tuple[int, int]]
HELD_OUT: tuple[Split, ...] = ("val", "test")


def cached_stream_floors(corpus: StreamCorpus, cache: Path, report: Report) -> Floors:
    """`stream_floors`, computed once for each corpus and split, by one process.

    Raises UsageError where the cache cannot be written.
    """
    path = cache / f"stream-floors-1-{corpus.fingerprint}.json"  # 1: the version of the method
    labels = [*(f"{order}-gram" for order in ORDERS), *COMPRESSORS]
    floors = read_floors(path, labels)
    if floors is None:
        with locked(path, f"computing the floors of {corpus.name}", report.note):
            floors = cached_floors(path, labels, lambda: stream_floors(corpus, report))
        give_back()
    return floors


def stream_floors(
    corpus: StreamCorpus,
    report: Report,
    max_train: int = MAX_TRAIN_SYMBOLS,
    max_scored: int = MAX_SCORED_SYMBOLS,
) -> Floors:
    """The floors of `ORDERS` and of `COMPRESSORS`.

    n-grams: every symbol of a split but the first is a target, as for a network, and no context
    reaches out of the split. The base distribution is uniform over the vocabulary.
    Compressors: each split on its own, 8 ln 2 * compressed bytes / number of the same targets.
    max_train and max_scored bound the symbols of train and of each other split, from its beginning.
    """
    limits: dict[Split, int] = {"train": max_train, "val": max_scored, "test": max_scored}
    parts = {split: _first(corpus, split, limit) for split, limit in limits.items()}
    ngrams = _ngrams(corpus, parts, report)
    compressors = _compressors(corpus, parts, report)
    return Floors(ngrams, compressors, _note(corpus, parts))


def _first(corpus: StreamCorpus, split: Split, max_symbols: int) -> tuple[int, int]:
    start, stop = corpus.bounds(split)
    return start, min(stop, start + max_symbols)


def _ngrams(corpus: StreamCorpus, parts: Parts, report: Report) -> dict[int, Floor]:
    model = NgramModel(max(ORDERS), len(corpus.vocabulary))
    num_symbols = sum(stop - start for start, stop in parts.values())
    with report.progress(
        f"n-gram floors of {corpus.name}", num_symbols, unit="symbols"
    ) as progress:
        train = corpus.ids.block(*parts["train"])
        model.fit(train, np.array([0, len(train)]))
        progress.advance(len(train))
        del train
        val = _nats_per_target(model, corpus, *parts["val"], progress.advance)
        test = _nats_per_target(model, corpus, *parts["test"], progress.advance)
    return {order: Floor(float(val[order - 1]), float(test[order - 1])) for order in ORDERS}


def _nats_per_target(
    model: NgramModel, corpus: StreamCorpus, start: int, stop: int, advance: Callable[[int], None]
) -> NDArray[np.float64]:
    """[order], the mean over ids[start + 1 : stop]."""
    nats = np.zeros(model.order)
    for first in range(start + 1, stop, BLOCK_SYMBOLS):
        last = min(first + BLOCK_SYMBOLS, stop)
        num_context = min(max(model.order - 1, 1), first - start)
        block = corpus.ids.block(first - num_context, last)
        nats += model.score_orders(block, np.array([0, len(block)]), num_context)[0]
        advance(last - first)
    return nats / (stop - start - 1)


def _compressors(corpus: StreamCorpus, parts: Parts, report: Report) -> dict[str, Floor]:
    spans = {split: _byte_span(corpus, split, parts[split]) for split in HELD_OUT}
    num_bytes = sum(stop - start for start, stop in spans.values())
    nats: dict[Split, dict[str, float]] = {}
    with report.progress(f"compressing val and test of {corpus.name}", num_bytes) as progress:
        for split, span in spans.items():
            start, stop = parts[split]
            nats_per_byte = 8 * math.log(2) / (stop - start - 1)
            sizes = compressed_sizes(corpus.raw, *span, progress.advance)
            nats[split] = {name: size * nats_per_byte for name, size in sizes.items()}
    return {name: Floor(nats["val"][name], nats["test"][name]) for name in COMPRESSORS}


def _byte_span(corpus: StreamCorpus, split: Split, part: tuple[int, int]) -> tuple[int, int]:
    """Where the symbols of a part lie in `raw`."""
    first, last = corpus.byte_bounds(split)
    num_symbols = part[1] - part[0]
    if corpus.vocabulary.kind == "bytes":
        return first, first + num_symbols
    num_before = 0
    at = first
    for block in blocks_of(corpus.raw, first, last, SilentReport().advance):
        # in UTF-8 the bytes 10xxxxxx go on with a character, all others begin one
        begins = np.flatnonzero(np.frombuffer(block, np.uint8) & 0xC0 != 0x80)
        if num_before + len(begins) > num_symbols:
            return first, at + int(begins[num_symbols - num_before])
        num_before += len(begins)
        at += len(block)
    return first, last


def _note(corpus: StreamCorpus, parts: Parts) -> str:
    unit = "bytes" if corpus.vocabulary.kind == "bytes" else "characters"
    notes = []
    for split, (start, stop) in parts.items():
        num_symbols = corpus.bounds(split)[1] - start
        if stop - start < num_symbols:
            what = "n-grams fitted" if split == "train" else "floors scored"
            notes.append(
                f"{what} on the first {stop - start:,} of {num_symbols:,} {unit} of {split}"
            )
    return "; ".join(notes)
