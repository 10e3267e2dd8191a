"""Texts of any size as plain files: what is compressed is unpacked once, into the cache."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from charlab.data.checksum import sha256_of
from charlab.data.compressed import UnpackError, blocks, form_of
from charlab.data.entries import made_once
from charlab.data.report import Report
from charlab.data.textfile import unreadable
from charlab.files import HashingWriter


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


def unpack(
    path: Path, file: HashingWriter, option: str, report: Report, max_bytes: int | None = None
) -> None:
    """Write the text that `path` holds, in whatever form, to `file`.

    UnpackError where it is damaged, empty or of several files, TooLong beyond max_bytes.
    """
    doing = f"unpacking {path.name}"
    with path.open("rb") as stored, report.progress(doing, path.stat().st_size) as progress:
        done = 0
        for block in blocks(stored, path, option):
            if max_bytes is not None and file.num_bytes + len(block) > max_bytes:
                raise TooLong(
                    f"{path} is not the file that is expected",
                    expected=f"{max_bytes:,} bytes",
                    got="more",
                    hint=f"check {option}",
                    option=option,
                )
            file.write(block)
            progress.advance(stored.tell() - done)
            done = stored.tell()
