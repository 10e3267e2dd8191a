"""One long text, read: found, cut, its symbols numbered. Imports no torch.

What is slow is done once and kept in the cache; the text itself is never in memory.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import final

from charlab.config.schema_data import (
    Enwik8Config,
    PythonStdlibConfig,
    StreamConfig,
    TextConfig,
)
from charlab.data.check import check_stream_config, has_counts_of_its_own
from charlab.data.encode import (
    Encoded,
    char_boundaries,
    encode_all_bytes,
    encode_chars,
    encode_own_bytes,
)
from charlab.data.enwik8 import find_enwik8, is_enwik8
from charlab.data.mapped import MappedIds
from charlab.data.report import Report
from charlab.data.splits import SPLITS, Cuts, Split, check_sizes, in_words, planned_cuts
from charlab.data.stdlib import read_stdlib
from charlab.data.symbols import StreamVocabulary
from charlab.data.textfile import check_digest
from charlab.data.unpack import plain_text

# What is published, whatever data.content_sha256 and data.val_bytes say.
ENWIK8_SHA256 = Enwik8Config.content_sha256
ENWIK8_CUTS: Cuts = (0, 90_000_000, 95_000_000, 100_000_000)


@final
@dataclass(frozen=True)
class StreamCorpus:
    """One long text in a file, cut by position into train, val and test.

    name            data.name
    source          the text, in words
    path            absolute data.path that the user gave, None otherwise
    raw             the text as a plain file: the user's own, or one in the cache
    byte_cuts       0, the end of train, of val and of test, in bytes of `raw`
    cuts            the same in symbols of `ids`
    num_unknown     by split, the symbols that train does not have
    standard        whether a data set with a published split is that, on that split; True for
                    data sets that have none
    split_note      the sizes of the splits, in words
    content_sha256  of `raw`
    """

    name: str
    source: str
    path: Path | None
    raw: Path
    byte_cuts: Cuts
    cuts: Cuts
    ids: MappedIds
    vocabulary: StreamVocabulary
    num_unknown: dict[str, int]
    standard: bool
    split_note: str
    content_sha256: str

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of a sha256: equal exactly where the ids of each split are."""
        plain = [self.content_sha256, self.byte_cuts, self.vocabulary.fingerprint]
        return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:16]

    def bounds(self, split: Split) -> tuple[int, int]:
        """Where the split begins and ends, in symbols."""
        return _span(self.cuts, split)

    def byte_bounds(self, split: Split) -> tuple[int, int]:
        """Where the split begins and ends, in bytes of `raw`."""
        return _span(self.byte_cuts, split)


def _span(cuts: Cuts, split: Split) -> tuple[int, int]:
    index = SPLITS.index(split)
    return cuts[index], cuts[index + 1]


@final
@dataclass(frozen=True)
class _Text:
    """A text before it is cut.

    is_counted  whether data.val_bytes and data.test_bytes are meant for it
    """

    source: str
    raw: Path
    num_bytes: int
    sha256: str
    is_counted: bool = True


def read_stream(config: StreamConfig, cache: Path, report: Report) -> StreamCorpus:
    """The corpus that `config` describes; UsageError says what is wrong with the file.

    cache  where texts are fetched, unpacked and encoded, once
    """
    check_stream_config(config)
    cache = cache.expanduser().resolve()
    text = _find(config, cache, report)
    by_fractions = not text.is_counted and not has_counts_of_its_own(config)
    planned = planned_cuts(text.num_bytes, config, text.source, by_fractions)
    byte_cuts = char_boundaries(text.raw, planned) if config.symbols == "chars" else planned
    encoded = _encode(config, text, byte_cuts, cache, report)
    check_sizes(encoded.cuts, "symbols", text.source)
    is_enwik8_config = isinstance(config, Enwik8Config)
    is_standard = not is_enwik8_config or (text.sha256, planned) == (ENWIK8_SHA256, ENWIK8_CUTS)
    note = f"{in_words(byte_cuts)} bytes"
    if not is_standard:
        is_other_text = text.sha256 != ENWIK8_SHA256
        note += " of a file that is not enwik8" if is_other_text else ", not as is published"
    return StreamCorpus(
        name=config.name,
        source=text.source,
        path=_path(config),
        raw=text.raw,
        byte_cuts=byte_cuts,
        cuts=encoded.cuts,
        ids=encoded.ids,
        vocabulary=encoded.vocabulary,
        num_unknown=encoded.num_unknown,
        standard=is_standard,
        split_note=note,
        content_sha256=text.sha256,
    )


def _path(config: StreamConfig) -> Path | None:
    if isinstance(config, Enwik8Config | TextConfig) and config.path is not None:
        return Path(config.path).expanduser().resolve()
    return None


def _find(config: StreamConfig, cache: Path, report: Report) -> _Text:
    if isinstance(config, Enwik8Config):
        found, path = find_enwik8(config, cache, report)
        is_right = is_enwik8(found, config)
        source = "enwik8" if is_right else str(path)
        return _Text(source, found.path.resolve(), found.num_bytes, found.sha256, is_right)
    if isinstance(config, PythonStdlibConfig):
        library = read_stdlib(cache, report)
        size = library.path.stat().st_size
        return _Text(library.source, library.path, size, library.sha256)
    assert isinstance(config, TextConfig)
    assert config.path is not None
    path = Path(config.path).expanduser()
    text = plain_text(path, "data.path", cache, report)
    if config.sha256 is not None:
        num_bytes = path.stat().st_size
        check_digest(text.stored_sha256, num_bytes, config.sha256, path, "data.sha256")
    return _Text(str(path), text.path.resolve(), text.num_bytes, text.sha256)


def _encode(
    config: StreamConfig, text: _Text, byte_cuts: Cuts, cache: Path, report: Report
) -> Encoded:
    if config.symbols == "chars":
        return encode_chars(text.raw, text.source, text.sha256, byte_cuts, cache, report)
    if config.vocabulary == "own":
        return encode_own_bytes(text.raw, text.sha256, byte_cuts, cache, report)
    return encode_all_bytes(text.raw, byte_cuts)
