"""Compressed text: recognised by its first bytes, unpacked block by block, once, into the cache."""

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, cast, final

from charlab.data.checksum import sha256_of
from charlab.data.entries import made_once
from charlab.data.report import Progress, Report
from charlab.data.textfile import empty, unreadable
from charlab.errors import MissingPackage, UsageError
from charlab.files import HashingWriter

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

BLOCK_BYTES = 1 << 20
# Four bytes of zstd can stand for 128 KiB of text: so few at a time bound the memory.
ZST_BLOCK_BYTES = 4096


class UnpackError(UsageError):
    """What is in the file, or the lack of it, keeps it from being unpacked: no other try helps."""


@final
class TooLong(UnpackError):
    """There is more in the file than there has to be."""


@final
@dataclass(frozen=True)
class PlainText:
    """A text as a plain file: the user's own, or what it unpacks to, in the cache.

    stored_sha256  of the file as it was stored
    sha256         of the plain text
    """

    path: Path
    num_bytes: int
    sha256: str
    stored_sha256: str


def plain_text(
    path: Path, option: str, cache: Path, report: Report, max_bytes: int | None = None
) -> PlainText:
    """The text of a file in any form. UsageError where it is empty, unreadable or damaged.

    max_bytes  of what is unpacked; TooLong where it is more

    What it unpacks to is kept under the checksum of the file as it is stored.
    """
    try:
        form = form_of(path, option)
        stored_sha256 = sha256_of(path, cache, report)
    except OSError as error:
        raise unreadable(path, option, error) from error
    if form == "plain":
        return PlainText(path, path.stat().st_size, stored_sha256, stored_sha256)

    def make(file: HashingWriter) -> dict[str, Any]:
        unpack(path, file, option, report, max_bytes)
        return {}

    kept = cache / "unpacked" / f"{stored_sha256[:32]}.txt"
    entry = made_once(kept, make, f"unpacking {path.name}", cache, report)
    return PlainText(entry.path, entry.path.stat().st_size, entry.sha256, stored_sha256)


def form_of(path: Path, option: str) -> Form:
    """How the file is compressed, by its first bytes; UsageError where its name says another."""
    with path.open("rb") as file:
        head = file.read(10)
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


def unpack(
    path: Path, file: HashingWriter, option: str, report: Report, max_bytes: int | None = None
) -> None:
    """Write the text that `path` holds, in whatever form, to `file`.

    UnpackError where it is damaged, empty or of several files, TooLong beyond max_bytes.
    """
    with report.progress(f"unpacking {path.name}", path.stat().st_size) as progress:
        for block in _blocks(path, option, progress):
            if max_bytes is not None and file.num_bytes + len(block) > max_bytes:
                raise TooLong(
                    f"{path} is not the file that is expected",
                    expected=f"{max_bytes:,} bytes",
                    got="more",
                    hint=f"check {option}",
                    option=option,
                )
            file.write(block)
    if file.num_bytes == 0:
        raise UnpackError(
            f"{path} is empty",
            expected=f"{option} is a file with text in it",
            got="it unpacks to 0 bytes",
            hint=f"check {option}",
            option=option,
        )


def _blocks(path: Path, option: str, progress: Progress) -> Iterator[bytes]:
    form = form_of(path, option)
    try:
        with path.open("rb") as stored:
            done = 0
            for block in _decompressed(stored, form, path, option):
                yield block
                progress.advance(stored.tell() - done)
                done = stored.tell()
    except DAMAGE as error:
        raise UnpackError(
            f"{path} cannot be unpacked",
            expected=f"{option} is a whole .{form} file",
            got=f"{error or type(error).__name__} ({path.stat().st_size:,} bytes)",
            hint=f"fetch or compress it again; check it with: {PROOF[form]} FILE",
            option=option,
        ) from error


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
