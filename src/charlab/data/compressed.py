"""Compressed text: recognised by its first bytes, unpacked block by block.

Where the blocks go is the affair of `unpack.py` and `names.py`.
"""

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, Literal, cast

from charlab.data.textfile import empty
from charlab.errors import MissingPackage, UsageError

Form = Literal["plain", "zip", "gz", "bz2", "xz", "zst"]

MAGIC: dict[Form, tuple[bytes, ...]] = {
    "zip": (b"PK\x03\x04", b"PK\x05\x06"),  # the second is a zip with nothing in it
    "gz": (b"\x1f\x8b",),
    "bz2": tuple(b"BZh%d" % level for level in range(1, 10)),
    "xz": (b"\xfd7zXZ\x00",),
    "zst": (b"\x28\xb5\x2f\xfd",),
}
BZ2_BLOCKS = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")  # what follows its magic
PROOF = {"zip": "unzip -t", "gz": "gzip -t", "bz2": "bzip2 -t", "xz": "xz -t", "zst": "zstd -t"}

# RuntimeError: a zip with a password, or of a kind of compression that zipfile lacks
DAMAGE = (OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)

READERS: dict[Form, Callable[[BinaryIO], IO[bytes]]] = {
    "plain": lambda stored: stored,
    "gz": lambda stored: cast(IO[bytes], gzip.GzipFile(fileobj=stored)),
    "bz2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
}

HEAD_BYTES = 10
BLOCK_BYTES = 1 << 20
# Four bytes of zstd can stand for 128 KiB of text: so few at a time bound the memory.
ZST_BLOCK_BYTES = 4096


class UnpackError(UsageError):
    """What is in the file, or the lack of it, keeps it from being unpacked: no other try helps."""


def form_of(path: Path, option: str) -> Form:
    """How the file is compressed, by its first bytes; UsageError where its name says another."""
    with path.open("rb") as file:
        return _form(file.read(HEAD_BYTES), path, option)


def _form(head: bytes, path: Path, option: str) -> Form:
    if not head:
        raise empty(path, option)
    for form, magics in MAGIC.items():
        if head.startswith(magics) and (form != "bz2" or head[4:] in BZ2_BLOCKS):
            return form
    suffix = path.suffix.lower()
    if suffix.removeprefix(".") in MAGIC:
        raise UnpackError(
            f"{path} is called {suffix} and is not",
            expected=f"a file that begins as {suffix} does",
            got=f"the bytes {head.hex(' ')}",
            hint=f"compress or copy it again; plain text must not be called {suffix}",
            option=option,
        )
    return "plain"


def blocks(stored: BinaryIO, path: Path, option: str) -> Iterator[bytes]:
    """The text in an open file, in whatever form; `path` is for messages.

    UnpackError where it is damaged, empty or of several files.
    """
    form = _form(stored.read(HEAD_BYTES), path, option)
    stored.seek(0)
    is_empty = True
    try:
        for block in _decompressed(stored, form, path, option):
            is_empty = is_empty and not block
            yield block
    except DAMAGE as error:
        raise UnpackError(
            f"{path} cannot be unpacked",
            expected=f"{option} is a whole .{form} file",
            got=f"{error or type(error).__name__} ({path.stat().st_size:,} bytes)",
            hint=f"fetch or compress it again; check it with: {PROOF[form]} FILE",
            option=option,
        ) from error
    if is_empty:
        raise UnpackError(
            f"{path} is empty",
            expected=f"{option} is a file with text in it",
            got="it unpacks to 0 bytes",
            hint=f"check {option}",
            option=option,
        )


def _decompressed(stored: BinaryIO, form: Form, path: Path, option: str) -> Iterator[bytes]:
    if form == "zst":
        yield from _zst_blocks(stored, path, option)
        return
    if form == "zip":
        stream = _only_member(zipfile.ZipFile(stored), path, option)
    else:
        stream = READERS[form](stored)
    with stream:
        while block := stream.read(BLOCK_BYTES):
            yield block


def _only_member(archive: zipfile.ZipFile, path: Path, option: str) -> IO[bytes]:
    """The one file of a zip. Its name in there is nowhere used."""
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) != 1:
        names = [repr(member.filename) for member in members]
        raise UnpackError(
            f"{path} holds {len(members)} files",
            expected="a zip with one file, the text",
            got=", ".join(names[:5]) + (" ..." if len(names) > 5 else "") or "none",
            hint=f"unpack it, then {option}=FILE",
            option=option,
        )
    return archive.open(members[0])


def _zst_blocks(stored: BinaryIO, path: Path, option: str) -> Iterator[bytes]:
    try:
        import zstandard
    except ModuleNotFoundError as error:
        raise MissingPackage(f"{path}", "zstandard", "zstd", option=option) from error
    decompressor = zstandard.ZstdDecompressor()
    frame = decompressor.decompressobj()
    try:
        while block := stored.read(ZST_BLOCK_BYTES):
            while block:
                if frame.eof:
                    frame = decompressor.decompressobj()
                yield frame.decompress(block)
                block = frame.unused_data if frame.eof else b""
    except zstandard.ZstdError as error:
        raise EOFError(str(error)) from error
    if not frame.eof:
        raise EOFError("the file ends in the middle")
