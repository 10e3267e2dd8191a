"""What a run needs of a data set, whichever it is, and the table of data sets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from rich.console import Console

from charlab.config.schema_data import DataConfig, NamesConfig, StreamConfig
from charlab.data.codec import AnyVocabulary
from charlab.data.describe import describe_names
from charlab.data.describe_stream import describe_stream
from charlab.data.floors import Floors
from charlab.data.names import NamesCorpus, read_names
from charlab.data.names_module import NamesDataModule
from charlab.data.ngram_floors import cached_ngram_floors
from charlab.data.quality import Quality, lengths, names_quality
from charlab.data.report import Report
from charlab.data.splits import SPLITS, Split
from charlab.data.stream_corpus import StreamCorpus, read_stream
from charlab.data.stream_floors import cached_stream_floors
from charlab.data.stream_module import StreamDataModule
from charlab.data.vocabulary import Vocabulary
from charlab.world import World

Module = NamesDataModule | StreamDataModule


@final
@dataclass(frozen=True)
class DataSet:
    """Batches, symbols, and what is known about the data before any training.

    unit        what a target is called: "char" or "byte"
    summary     one line for the screen
    notes       what one has to know to read the scores, a line each
    record      plain entries for run.json
    document    what a document is called, None where the data are one long text
    floors      what n-grams and compressors reach on the same splits
    quality     scores sampled texts, given whether each was ended by the model; None for streams
    bytes_per_target  of each split, where a target is a character of a stream; else empty
    """

    module: Module
    vocabulary: AnyVocabulary
    unit: str
    summary: str
    notes: tuple[str, ...]
    record: dict[str, Any]
    document: str | None
    floors: Floors
    quality: Callable[[Sequence[str], Sequence[bool]], Quality] | None
    bytes_per_target: dict[str, float]

    @property
    def metrics(self) -> dict[str, float]:
        """The floors on test by metric name, and whether the split is the published one."""
        return self.floors.metrics | self.provenance

    @property
    def provenance(self) -> dict[str, float]:
        """1 where scores are those of the corpus on its published split, 0 where they are not."""
        return {"data/standard_split": float(self.record["standard_split"])}


def build_dataset(
    config: DataConfig, seed: int, cache: Path, world: World, report: Report
) -> DataSet:
    """The data set of a configuration. Raises UsageError where its files are unusable."""
    if isinstance(config, NamesConfig):
        return _names(config, seed, cache, world)
    assert isinstance(config, StreamConfig)
    return _stream(config, seed, cache, world, report)


def describe_dataset(
    config: DataConfig, cache: Path, console: Console, report: Report, picture: Path
) -> None:
    """Print what the data of a configuration hold, and draw a picture of them (PNG).

    Raises UsageError where its files are unusable, or the picture cannot be written.
    """
    if isinstance(config, NamesConfig):
        names = read_names(config)
        describe_names(names, Vocabulary.of(names.train), console, picture)
    else:
        assert isinstance(config, StreamConfig)
        stream = read_stream(config, cache, report)
        floors = cached_stream_floors(stream, cache, report)
        describe_stream(stream, floors, console, picture)


def _names(config: NamesConfig, seed: int, cache: Path, world: World) -> DataSet:
    corpus = read_names(config)
    vocabulary = Vocabulary.of(corpus.train)
    floors = cached_ngram_floors(corpus, vocabulary, cache_dir=cache)
    held_out = (*corpus.val, *corpus.test)
    num_unknown = sum(vocabulary.encode(name).count(vocabulary.UNK) for name in held_out)
    record = {
        "name": config.name,
        "source": corpus.source,
        "path": None if config.path is None else str(Path(config.path).expanduser().resolve()),
        "fingerprint": corpus.fingerprint,
        "vocabulary_fingerprint": vocabulary.fingerprint,
        "standard_split": True,
        "unit": "char",
        "document": "name",
        "num_symbols": len(vocabulary),
        "num_train": len(corpus.train),
        "num_val": len(corpus.val),
        "num_test": len(corpus.test),
        "num_unknown_targets": num_unknown,
        "fill": corpus.fill,
        "lengths": lengths(corpus.train),
        "floors": floors.record,
    }
    return DataSet(
        module=NamesDataModule(corpus, vocabulary, config.batch_size, seed, world),
        vocabulary=vocabulary,
        unit="char",
        summary=f"{corpus.source} · {len(corpus.train):,} train / {len(corpus.val):,} val / "
        f"{len(corpus.test):,} test items · {len(vocabulary)} symbols",
        notes=() if corpus.fill is None else (_fill_note(corpus),),
        record=record,
        document="name",
        floors=floors,
        quality=_quality(corpus),
        bytes_per_target={},
    )


def _fill_note(corpus: NamesCorpus) -> str:
    return (
        f"every name is filled up with {corpus.fill!r} to {len(corpus.train[0])} letters, which "
        "are scored as its own: bits per character are not those of names"
    )


def _quality(corpus: NamesCorpus) -> Callable[[Sequence[str], Sequence[bool]], Quality]:
    return lambda texts, ended: names_quality(texts, ended, corpus)


def _stream(config: StreamConfig, seed: int, cache: Path, world: World, report: Report) -> DataSet:
    corpus = read_stream(config, cache, report)
    module = StreamDataModule(corpus, config, seed, world)
    floors = cached_stream_floors(corpus, cache, report)
    batches = module.train_dataloader()
    num_symbols = {split: stop - start for split, (start, stop) in _bounds(corpus).items()}
    unit = corpus.vocabulary.unit
    record = {
        "name": corpus.name,
        "source": corpus.source,
        "path": None if corpus.path is None else str(corpus.path),
        "fingerprint": corpus.fingerprint,
        "content_sha256": corpus.content_sha256,
        "vocabulary_fingerprint": corpus.vocabulary.fingerprint,
        "standard_split": corpus.standard,
        "split": corpus.split_note,
        "byte_cuts": list(corpus.byte_cuts),
        "unit": unit,
        "document": None,
        "num_symbols": len(corpus.vocabulary),
        **{f"num_{split}": number for split, number in num_symbols.items()},
        "num_unknown_targets": corpus.num_unknown["val"] + corpus.num_unknown["test"],
        "num_unknown_test_targets": corpus.num_unknown["test"],
        "left_out_of_an_epoch": batches.left_out,
        "val_lanes": module.num_eval_lanes("val"),
        "test_lanes": module.num_eval_lanes("test"),
        "floors": floors.record,
    }
    return DataSet(
        module=module,
        vocabulary=corpus.vocabulary,
        unit=unit,
        summary=f"{corpus.source} · {num_symbols['train']:,} train / {num_symbols['val']:,} val / "
        f"{num_symbols['test']:,} test {unit}s · {len(corpus.vocabulary)} symbols",
        notes=tuple(
            note for note in (_split_note(corpus), _unknown_note(corpus), floors.note) if note
        ),
        record=record,
        document=None,
        floors=floors,
        quality=None,
        bytes_per_target=_bytes_per_target(corpus),
    )


def _bounds(corpus: StreamCorpus) -> dict[Split, tuple[int, int]]:
    return {split: corpus.bounds(split) for split in SPLITS}


def _split_note(corpus: StreamCorpus) -> str:
    return "" if corpus.standard else f"not the published split: {corpus.split_note}"


def _unknown_note(corpus: StreamCorpus) -> str:
    """A score with unknown symbols is no rate of compression: which ones they are is not scored."""
    num_unknown = corpus.num_unknown["test"]
    if num_unknown == 0:
        return ""
    start, stop = corpus.bounds("test")
    return (
        f"{num_unknown:,} of {stop - start:,} {corpus.vocabulary.unit}s of test are not in train; "
        "each is scored as unknown, not as what it is"
    )


def _bytes_per_target(corpus: StreamCorpus) -> dict[str, float]:
    """Bytes of a split for each of its characters."""
    if corpus.vocabulary.kind == "bytes":
        return {}
    found: dict[str, float] = {}
    for split, (start, stop) in _bounds(corpus).items():
        first, last = corpus.byte_bounds(split)
        found[split] = (last - first) / (stop - start)
    return found
