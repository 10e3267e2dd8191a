"""The typed schema of data sets: names, and streams of text."""

from dataclasses import dataclass
from typing import Optional

from omegaconf import MISSING

from charlab.config.option import MAX_SEED, option


@dataclass
class DataConfig:
    name: str = option(MISSING, "kind of data set")
    batch_size: int = option(64, "rows of a batch, in each process", ge=1, le=1_000_000)


@dataclass
class NamesConfig(DataConfig):
    path: Optional[str] = option(
        None,
        "UTF-8, an item a line, plain or .zip .gz .bz2 .xz .zst; null is the bundled list of names",
    )
    sha256: Optional[str] = option(None, "checksum that data.path must have; null accepts any")
    bundled_sha256: str = option(
        "32c68b8d86176a31d346083dbca6a264b64dc8b9636b7ad41ab06ba05f405b75",
        "checksum of the bundled list, always verified",
    )
    val_fraction: float = option(0.1, "part of the distinct items held out to validate", gt=0, lt=1)
    test_fraction: float = option(0.1, "part of the distinct items held out to test", gt=0, lt=1)
    split_seed: int = option(0, "seed of the shuffle that splits the items", ge=0, le=MAX_SEED)
    max_length: int = option(256, "longest item accepted, in characters", ge=1)
    fill: Optional[str] = option(
        None, "a mistake to look at: this letter fills items up to one length, and is scored"
    )


@dataclass
class StreamConfig(DataConfig):
    """One long text, cut into train, val and test by position and read as contiguous lanes."""

    seq_len: int = option(100, "steps of a window: backpropagation through time is cut there", ge=1)
    stateful: bool = option(
        True, "carry the state from window to window; false shuffles independent windows"
    )
    reset_prob: float = option(
        0.01, "chance that a lane forgets its state before a window", ge=0, le=1
    )
    predict_across: bool = option(
        True, "the last step of a window predicts the first symbol of the next"
    )
    symbols: str = option(
        "bytes", "what the model reads: bytes, or characters of UTF-8", choices=("bytes", "chars")
    )
    vocabulary: Optional[str] = option(
        None,
        "fixed is all 256 bytes, own the symbols of train and one for all others; "
        "null is fixed for bytes, own for chars",
        choices=("fixed", "own"),
    )
    val_fraction: float = option(0.05, "part held out to validate, before test", gt=0, lt=1)
    test_fraction: float = option(0.05, "part held out to test, at the end", gt=0, lt=1)
    val_bytes: Optional[int] = option(
        None, "bytes held out to validate, in place of data.val_fraction", ge=2
    )
    test_bytes: Optional[int] = option(
        None, "bytes held out to test, in place of data.test_fraction", ge=2
    )
    eval_lanes: int = option(64, "lanes that a split is scored in, side by side", ge=1)
    eval_window: Optional[int] = option(
        None, "steps of a window when scoring; null is data.seq_len", ge=1
    )
    eval_warmup: int = option(
        1000, "symbols read, not scored, before each scored lane but the first", ge=0
    )


@dataclass
class Enwik8Config(StreamConfig):
    """enwik8 as bytes: 90 / 5 / 5 million by position (Hutter Prize; Graves 2013 splits so)."""

    path: Optional[str] = option(
        None, "a copy: enwik8 itself, or .zip .gz .bz2 .xz .zst; null looks into the cache, fetches"
    )
    verify: bool = option(
        True, "refuse what is not enwik8; false takes a part of it and splits by fractions"
    )
    val_bytes: Optional[int] = option(5_000_000, "bytes held out to validate", ge=2)
    test_bytes: Optional[int] = option(5_000_000, "bytes held out to test", ge=2)
    num_bytes: int = option(100_000_000, "size of enwik8", ge=1)
    content_sha256: str = option(
        "2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8", "checksum of enwik8"
    )
    url: str = option("https://mattmahoney.net/dc/enwik8.zip", "where enwik8.zip is published")
    archive_bytes: int = option(36_445_475, "size of enwik8.zip", ge=1)


@dataclass
class Enwik8CharsConfig(Enwik8Config):
    """enwik8 as Unicode characters, the enwik8 notebook's way, cut where the bytes are cut."""

    symbols: str = option(
        "chars", "what the model reads: bytes, or characters of UTF-8", choices=("bytes", "chars")
    )


@dataclass
class TextConfig(StreamConfig):
    """Any file of any size."""

    path: Optional[str] = option(None, "the text: plain, or .zip .gz .bz2 .xz .zst")
    sha256: Optional[str] = option(None, "checksum that data.path must have; null accepts any")


@dataclass
class PythonStdlibConfig(StreamConfig):
    """The source of the standard library of the Python that runs: no network, on every machine."""
