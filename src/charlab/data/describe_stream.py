"""Shows what a stream holds: in the terminal, and its floors as a picture."""

from pathlib import Path

import numpy as np
from rich.console import Console

from charlab.data.facts import print_facts, shown, visible
from charlab.data.floors import Floors
from charlab.data.order import Ids
from charlab.data.splits import SPLITS, Split, in_words
from charlab.data.stream_corpus import StreamCorpus
from charlab.data.symbols import StreamVocabulary
from charlab.picture import COLOURS, drawing, label_bars

NUM_COMMON = 12
EXCERPT_SYMBOLS = 160
BLOCK_SYMBOLS = 1 << 20
BAR_WIDTH = 0.42
GAP = 0.5


def describe_stream(
    corpus: StreamCorpus, floors: Floors, console: Console, picture_path: Path
) -> None:
    """Prints the corpus and draws its floors to `picture_path` (PNG).

    Reads all of train to count its symbols. UsageError where the picture cannot be written.
    """
    draw_floors(corpus, floors, picture_path)
    print_facts([*_facts(corpus, floors), ("picture", str(picture_path))], console)


def _facts(corpus: StreamCorpus, floors: Floors) -> list[tuple[str, str]]:
    vocabulary = corpus.vocabulary
    counts = _train_counts(corpus)
    facts = [
        ("source", corpus.source),
        ("size", f"{corpus.byte_cuts[-1]:,} bytes, sha256 {corpus.content_sha256}"),
        ("train/val/test", corpus.split_note),
    ]
    if vocabulary.kind == "chars":
        facts.append(("", f"{in_words(corpus.cuts)} characters"))
    facts.append(("vocabulary", _vocabulary(vocabulary, counts)))
    if vocabulary.has_unknown:
        facts += [(f"{split} unknown", _unknown(corpus, split)) for split in ("val", "test")]
    facts.append(("commonest", _commonest(vocabulary, counts)))
    facts += [(f"{split} begins", _excerpt(corpus, split)) for split in SPLITS]
    facts.append(
        (
            f"bits per {corpus.vocabulary.unit}",
            "on val and test, compressors alone with each: beat them",
        )
    )
    facts += [
        (label, f"{floor.val_bpc:.3f}  {floor.test_bpc:.3f}")
        for label, floor in floors.by_label.items()
    ]
    if floors.note:
        facts.append(("", floors.note))
    return facts


def _train_counts(corpus: StreamCorpus) -> Ids:
    """How often each id occurs in train: [len(vocabulary)]."""
    counts = np.zeros(len(corpus.vocabulary), np.int64)
    start, stop = corpus.bounds("train")
    for first in range(start, stop, BLOCK_SYMBOLS):
        block = corpus.ids.block(first, min(first + BLOCK_SYMBOLS, stop))
        counts += np.bincount(block, minlength=len(counts))
    return counts


def _vocabulary(vocabulary: StreamVocabulary, counts: Ids) -> str:
    number = f"{len(vocabulary):,} symbols: "
    if vocabulary.has_unknown:
        kind = "bytes" if vocabulary.kind == "bytes" else "characters"
        return f"{number}the {len(vocabulary.symbols):,} {kind} of train, and one for all others"
    return f"{number}all bytes; {np.count_nonzero(counts)} of them occur in train"


def _unknown(corpus: StreamCorpus, split: Split) -> str:
    start, stop = corpus.bounds(split)
    number = corpus.num_unknown[split]
    if number == 0:
        return "none: train has all its symbols"
    return f"{number:,} of its {stop - start:,} symbols ({number / (stop - start):.3%})"


def _commonest(vocabulary: StreamVocabulary, counts: Ids) -> str:
    common = np.argsort(-counts, kind="stable")[:NUM_COMMON]
    total = counts.sum()
    return ", ".join(
        f"{_symbol(vocabulary, index)}:{counts[index] / total:.1%}"
        for index in common.tolist()
        if counts[index]
    )


def _symbol(vocabulary: StreamVocabulary, index: int) -> str:
    value = vocabulary.symbols[index]  # the unknown symbol does not occur in train
    is_ascii = value < 0x80
    return shown(chr(value)) if vocabulary.kind == "chars" or is_ascii else f"\\x{value:02x}"


def _excerpt(corpus: StreamCorpus, split: Split) -> str:
    start, stop = corpus.bounds(split)
    ids = corpus.ids.block(start, min(stop, start + EXCERPT_SYMBOLS))
    return visible(corpus.vocabulary.decode(ids.tolist()))


def draw_floors(corpus: StreamCorpus, floors: Floors, path: Path) -> None:
    """A PNG with two bars a method, the bits a target on val and on test."""
    unit = corpus.vocabulary.unit
    by_label = floors.by_label
    # a gap between the n-grams, which learn from train, and the compressors, which do not
    places = np.arange(len(by_label)) + GAP * (np.arange(len(by_label)) >= len(floors.ngrams))
    series = {
        "val": [floor.val_bpc for floor in by_label.values()],
        "test": [floor.test_bpc for floor in by_label.values()],
    }
    title = f"what a network has to beat on {Path(corpus.source).name}"
    remark = f"{unit}s, {len(corpus.vocabulary):,} symbols"
    with drawing(path, title, remark) as axes:
        for (split, bits), colour, side in zip(series.items(), COLOURS, (-1, 1), strict=True):
            bars = axes.bar(
                places + side * BAR_WIDTH / 2, bits, BAR_WIDTH, color=colour, label=f"on {split}"
            )
            label_bars(axes, bars, "{:.2f}")
        axes.set_xticks(places, list(by_label))
        axes.set_ylabel(f"bits per {unit}")
        axes.legend(frameon=False)
