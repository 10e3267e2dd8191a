"""Sizes that general-purpose compressors reach on a part of a file, read in blocks."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from charlab.data.blocks import BLOCK_BYTES, blocks_of

GZIP_FORMAT = 16 + zlib.MAX_WBITS  # a gzip header and trailer round the largest window


class Compressor(Protocol):
    """One stream under compression."""

    def compress(self, data: bytes, /) -> bytes:
        """What of the output is ready."""

    def flush(self) -> bytes:
        """The rest of the output."""


COMPRESSORS: Mapping[str, Callable[[], Compressor]] = {
    "gzip": lambda: zlib.compressobj(9, zlib.DEFLATED, GZIP_FORMAT),
    "bz2": lambda: bz2.BZ2Compressor(9),
    # 6 is what `xz` does by default and takes about 100 MB; 9 would take 700 MB
    "xz": lambda: lzma.LZMACompressor(preset=6),
}


def compressed_sizes(
    path: Path,
    start: int,
    stop: int,
    advance: Callable[[int], None],
    block_bytes: int = BLOCK_BYTES,
) -> dict[str, int]:
    """Bytes that each of `COMPRESSORS` makes of the bytes start..stop of a file, on their own.

    advance is told the number of bytes of each block that is done. OSError where the file cannot
    be read.
    """
    compressors = {name: make() for name, make in COMPRESSORS.items()}
    sizes = dict.fromkeys(compressors, 0)
    for block in blocks_of(path, start, stop, advance, block_bytes):
        for name, compressor in compressors.items():
            sizes[name] += len(compressor.compress(block))
    return {name: sizes[name] + len(compressors[name].flush()) for name in sizes}
