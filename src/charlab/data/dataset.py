"""What a run needs of a data set, whichever it is, and the table of data sets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from rich.console import Console

from charlab.config.schema import DataConfig, NamesConfig
from charlab.data.describe import describe_names
from charlab.data.names import read_names
from charlab.data.names_module import NamesDataModule
from charlab.data.ngram_floors import NgramFloor, cached_ngram_floors
from charlab.data.quality import Quality, names_quality
from charlab.data.vocabulary import Vocabulary
from charlab.errors import UsageError


@final
@dataclass(frozen=True)
class DataSet:
    """Batches, symbols, and what is known about the data before any training.

    summary     one line for the screen
    record      plain entries for run.json
    document    what a document is called, None where the data are one long text
    floors      n-gram scores by order, on the same split
    quality     scores sampled texts, given whether each was ended by the model
    """

    module: NamesDataModule
    vocabulary: Vocabulary
    summary: str
    record: dict[str, Any]
    document: str | None
    floors: dict[int, NgramFloor]
    quality: Callable[[Sequence[str], Sequence[bool]], Quality]

    @property
    def best_order(self) -> int:
        """The order that does best on validation: what a trained network has to beat on test."""
        return min(self.floors, key=lambda order: self.floors[order].val_bpc)

    @property
    def baselines(self) -> dict[str, float]:
        """The floors on the test split by metric name."""
        return {f"baseline/ngram{n}_bpc": floor.test_bpc for n, floor in self.floors.items()}


def build_dataset(config: DataConfig, seed: int, cache: Path) -> DataSet:
    """The data set of a configuration. Raises UsageError where its files are unusable."""
    assert isinstance(config, NamesConfig)
    return _names(config, seed, cache)


def describe_dataset(config: DataConfig, console: Console, histogram: Path) -> None:
    """Print what the data of a configuration hold, and draw a histogram of lengths (PNG)."""
    assert isinstance(config, NamesConfig)
    corpus = read_names(config)
    try:
        describe_names(corpus, Vocabulary.of(corpus.train), console, histogram)
    except OSError as error:
        raise UsageError(
            f"the histogram cannot be written to {histogram}",
            expected="a folder that can be written",
            got=error.strerror or str(error),
            hint="charlab data names -o FILE.png",
        ) from error


def _names(config: NamesConfig, seed: int, cache: Path) -> DataSet:
    corpus = read_names(config)
    vocabulary = Vocabulary.of(corpus.train)
    held_out = (*corpus.val, *corpus.test)
    num_unknown = sum(vocabulary.encode(name).count(vocabulary.UNK) for name in held_out)
    record = {
        "name": config.name,
        "source": corpus.source,
        "path": None if config.path is None else str(Path(config.path).expanduser().resolve()),
        "fingerprint": corpus.fingerprint,
        "vocabulary_fingerprint": vocabulary.fingerprint,
        "num_symbols": len(vocabulary),
        "num_train": len(corpus.train),
        "num_val": len(corpus.val),
        "num_test": len(corpus.test),
        "num_unknown_targets": num_unknown,
    }
    return DataSet(
        module=NamesDataModule(corpus, vocabulary, batch_size=config.batch_size, seed=seed),
        vocabulary=vocabulary,
        summary=f"{corpus.source} · {len(corpus.train):,} train / {len(corpus.val):,} val / "
        f"{len(corpus.test):,} test items · {len(vocabulary)} symbols",
        record=record,
        document="name",
        floors=cached_ngram_floors(corpus, vocabulary, cache_dir=cache),
        quality=lambda texts, ended: names_quality(texts, ended, corpus),
    )
