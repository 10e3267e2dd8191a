"""Reading a stretch of a file of any size. Imports nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path

BLOCK_BYTES = 1 << 20


def blocks_of(
    path: Path,
    start: int,
    stop: int,
    advance: Callable[[int], None],
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[bytes]:
    """The bytes start..stop of a file, a block at a time; `advance` is told the size of each."""
    with path.open("rb") as file:
        file.seek(start)
        for first in range(start, stop, block_bytes):
            block = file.read(min(block_bytes, stop - first))
            yield block
            advance(len(block))
