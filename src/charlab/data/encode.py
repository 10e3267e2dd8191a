"""A text as the ids of its symbols: bytes are mapped where they lie, characters written once.

Everything is read in blocks, so memory stays constant whatever the size of the text.
"""

import codecs
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from charlab.data.blocks import BLOCK_BYTES, blocks_of
from charlab.data.entries import made_once
from charlab.data.mapped import MappedIds
from charlab.data.order import Ids
from charlab.data.report import Progress, Report
from charlab.data.splits import SPLITS, Cuts
from charlab.data.symbols import NUM_BYTES, NUM_CODE_POINTS, StreamVocabulary
from charlab.errors import UsageError
from charlab.files import HashingWriter, read_note, write_note

METHOD = 1  # the version of what is done here


@final
@dataclass(frozen=True)
class Encoded:
    """The ids of train, val and test end to end.

    cuts         of the splits, in symbols
    num_unknown  symbols of each split that train does not have
    """

    ids: MappedIds
    vocabulary: StreamVocabulary
    cuts: Cuts
    num_unknown: dict[str, int]


# -------------------------------------------------------------------------------------------- bytes
def encode_all_bytes(raw: Path, cuts: Cuts) -> Encoded:
    """With a vocabulary of all 256 bytes: the file is its own ids."""
    vocabulary = StreamVocabulary.all_bytes()
    return Encoded(MappedIds(raw, "u1"), vocabulary, cuts, dict.fromkeys(SPLITS, 0))


def encode_own_bytes(raw: Path, sha256: str, cuts: Cuts, cache: Path, report: Report) -> Encoded:
    """With the byte values of train, and the unknown one; they are counted once.

    sha256  of the file
    """
    note = cache / "encoded" / f"{_key('bytes', sha256, cuts)}.json"
    rows = read_note(note)
    if rows is None:
        with report.progress("counting the bytes", cuts[-1]) as progress:
            rows = [
                _count(_byte_values(raw, *span, progress), NUM_BYTES).tolist()
                for span in pairwise(cuts)
            ]
        write_note(note, rows)
    counts = np.array(rows, np.int64)
    vocabulary = StreamVocabulary.of("bytes", np.flatnonzero(counts[0]))
    return Encoded(
        MappedIds(raw, "u1", vocabulary.table), vocabulary, cuts, _num_unknown(counts, vocabulary)
    )


def _byte_values(
    raw: Path, start: int, stop: int, progress: Progress
) -> Iterator[NDArray[np.uint8]]:
    for block in blocks_of(raw, start, stop, progress.advance):
        yield np.frombuffer(block, np.uint8)


# --------------------------------------------------------------------------------------- characters
def encode_chars(
    raw: Path,
    source: str,
    sha256: str,
    byte_cuts: Cuts,
    cache: Path,
    report: Report,
    block_bytes: int = BLOCK_BYTES,
) -> Encoded:
    """With the code points of train, and the unknown one, in a compact file of the cache.

    source     the text, in words
    sha256     of the file
    byte_cuts  between characters, as `char_boundaries` gives them

    UsageError where the text is not UTF-8.
    """

    def make(file: HashingWriter) -> dict[str, Any]:
        return _write_ids(raw, source, byte_cuts, file, report, block_bytes)

    path = cache / "encoded" / f"{_key('chars', sha256, byte_cuts)}.ids"
    facts = made_once(path, make, f"encoding {source}", cache, report).facts
    train_end, val_end, end = facts["cuts"]
    vocabulary = StreamVocabulary.of("chars", facts["symbols"])
    return Encoded(
        MappedIds(path, _dtype(vocabulary)),
        vocabulary,
        (0, train_end, val_end, end),
        facts["num_unknown"],
    )


def char_boundaries(raw: Path, cuts: Cuts) -> Cuts:
    """The cuts again, each moved forward to the next character where it is inside one (UTF-8)."""
    with raw.open("rb") as file:

        def boundary(cut: int) -> int:
            file.seek(cut)
            # a character has at most three bytes 10xxxxxx behind its first
            inside = [byte & 0xC0 == 0x80 for byte in file.read(3)]
            return cut + ([*inside, False].index(False))

        return 0, boundary(cuts[1]), boundary(cuts[2]), cuts[3]


def _code_points(
    raw: Path, source: str, start: int, stop: int, progress: Progress, block_bytes: int
) -> Iterator[NDArray[np.uint32]]:
    """The characters of raw[start:stop], a block at a time."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    offset = start
    # the empty block at the end finds a character that has only begun
    for block in chain(blocks_of(raw, start, stop, progress.advance, block_bytes), [b""]):
        num_pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            position = offset - num_pending + error.start
            raise UsageError(
                f"{source} is not UTF-8",
                expected="data.symbols=chars reads UTF-8 text",
                got=f"byte 0x{error.object[error.start]:02x} at offset {position:,}: "
                f"{error.reason}",
                hint="data.symbols=bytes reads any file; or convert it: "
                "iconv -f LATIN1 -t UTF-8 OLD > NEW (or the encoding it is in)",
                option="data.symbols",
            ) from error
        offset += len(block)
        yield np.frombuffer(text.encode("utf-32-le"), "<u4")


def _write_ids(
    raw: Path,
    source: str,
    byte_cuts: Cuts,
    file: HashingWriter,
    report: Report,
    block_bytes: int,
) -> dict[str, Any]:
    """Count, which gives the vocabulary, then write; the facts of `encode_chars`."""

    def points(start: int, stop: int, progress: Progress) -> Iterator[NDArray[np.uint32]]:
        return _code_points(raw, source, start, stop, progress, block_bytes)

    spans = list(pairwise(byte_cuts))
    with report.progress("counting the characters", byte_cuts[-1]) as progress:
        counts = np.stack([_count(points(*span, progress), NUM_CODE_POINTS) for span in spans])
    vocabulary = StreamVocabulary.of("chars", np.flatnonzero(counts[0]))
    table = vocabulary.table.astype(_dtype(vocabulary))
    with report.progress("encoding the characters", byte_cuts[-1]) as progress:
        for span in spans:
            for block in points(*span, progress):
                file.write(table[block].tobytes())
    return {
        "cuts": np.cumsum(counts.sum(axis=1)).tolist(),
        "symbols": list(vocabulary.symbols),
        "num_unknown": _num_unknown(counts, vocabulary),
    }


def _dtype(vocabulary: StreamVocabulary) -> str:
    """The narrowest that holds every id."""
    if len(vocabulary) <= 1 << 8:
        return "u1"
    return "<u2" if len(vocabulary) <= 1 << 16 else "<u4"


# --------------------------------------------------------------------------------------------- both
def _key(kind: str, sha256: str, byte_cuts: Cuts) -> str:
    plain = json.dumps([METHOD, kind, sha256, byte_cuts])
    return hashlib.sha256(plain.encode()).hexdigest()[:32]


def _count(blocks: Iterable[NDArray[np.unsignedinteger[Any]]], num_values: int) -> Ids:
    """How often each value occurs: [num_values]."""
    counts = np.zeros(num_values, np.int64)
    for block in blocks:
        found = np.bincount(block)
        counts[: len(found)] += found
    return counts


def _num_unknown(counts: Ids, vocabulary: StreamVocabulary) -> dict[str, int]:
    """Of each split, the symbols that the vocabulary lacks; counts [splits, values]."""
    known = counts[:, list(vocabulary.symbols)].sum(axis=1)
    return dict(zip(SPLITS, (counts.sum(axis=1) - known).tolist()))
