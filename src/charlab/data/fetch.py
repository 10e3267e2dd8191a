"""One file over HTTP into a `.part` file, going on where an earlier try was cut off."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import final

import requests
import urllib3

from charlab.data.report import Report
from charlab.files import disk, write_all

TRIES = 5
# before the second try, doubled before each one after it
PAUSE_S = 1.0
# to connect, and between two blocks
TIMEOUT_S = (10.0, 60.0)
BLOCK_BYTES = 1 << 16


@final
class FetchError(Exception):
    """Why the file did not come, in words that fit after "got"."""


@final
class _Lost(Exception):
    """There is no connection, or it was lost in the middle of the file."""

    def __init__(self, what: str, was_answered: bool) -> None:
        super().__init__(what)
        self.was_answered = was_answered


def fetch(url: str, part: Path, num_bytes: int, doing: str, report: Report) -> None:
    """The file at `url` in `part`: all of its num_bytes, of which those that `part` has are kept.

    doing  in words, "fetching enwik8"

    FetchError without a network, for an answer that is no file or of another size, and when the
    connection was lost TRIES times. Whatever ends it, Ctrl-C too, `part` keeps what came, and the
    next call goes on from there. UsageError where the disk is full. The content is not verified.
    """
    pause_s = PAUSE_S
    lost = ""
    for number in range(TRIES):
        if number > 0:
            time.sleep(pause_s)
            pause_s *= 2
        try:
            _transfer(url, part, num_bytes, doing, report)
        except _Lost as error:
            if number == 0 and not error.was_answered:
                raise FetchError(str(error)) from error
            lost = f": {error}"
        if _size(part) == num_bytes:
            return
    raise FetchError(
        f"{_size(part):,} of {num_bytes:,} bytes of {url} in {TRIES} tries{lost}; "
        "the next start goes on from there"
    )


def _transfer(url: str, part: Path, num_bytes: int, doing: str, report: Report) -> None:
    """One request. FetchError where another try would not help."""
    num_have = _size(part)
    if num_have == num_bytes:
        return
    if num_have > num_bytes:  # of another file
        _start_over(part)
        num_have = 0
    # `identity`: the bytes of the file, not of a compressed answer
    headers = {"Accept-Encoding": "identity"}
    if num_have:
        headers["Range"] = f"bytes={num_have}-"
    with _answer(url, headers) as response:
        start, num_whole = _extent(response)
        is_usable = response.status_code in (200, 206) and start in (0, num_have)
        if num_have and not is_usable and response.status_code in (206, 416):
            # the server has nothing there, or sends another part: all of it, then
            _start_over(part)
            _transfer(url, part, num_bytes, doing, report)
            return
        if not is_usable:
            raise FetchError(f"HTTP {response.status_code} {response.reason} from {url}")
        if num_whole is not None and num_whole != num_bytes:
            raise FetchError(f"a file of {num_whole:,} bytes, not {num_bytes:,}, at {url}")
        _receive(response, part, start or 0, num_bytes, doing, report)
    if _size(part) > num_bytes:
        _start_over(part)
        raise FetchError(f"a file of more than {num_bytes:,} bytes at {url}")


def _answer(url: str, headers: dict[str, str]) -> requests.Response:
    try:
        return requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S)
    except requests.RequestException as error:
        raise _Lost(f"no connection to {url} ({_root(error)})", was_answered=False) from error


def _root(error: BaseException) -> str:
    """What the innermost cause says; the outer ones are walls of text."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__


def _extent(response: requests.Response) -> tuple[int | None, int | None]:
    """Where the body begins in the file, and the size of the whole file; None: it is not said.

    Content-Range: bytes 100-199/200 (RFC 9110, 14.4)
    """
    if response.status_code == 206:
        extent, _, whole = response.headers.get("Content-Range", "").partition("/")
        start = extent.removeprefix("bytes").strip().partition("-")[0]
        return _int(start), _int(whole)
    return 0, _int(response.headers.get("Content-Length", ""))


def _int(digits: str) -> int | None:
    return int(digits) if digits.isdecimal() else None


def _receive(
    response: requests.Response,
    part: Path,
    start: int,
    num_bytes: int,
    doing: str,
    report: Report,
) -> None:
    """Write the body behind the first `start` bytes of `part`; it ends with a block too much."""
    with disk(part):
        part.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("r+b" if start else "wb", buffering=0)
    with file, report.progress(doing, num_bytes, start) as progress:
        file.seek(start)
        for block in _blocks(response):
            write_all(file, block, part)
            progress.advance(len(block))
            if file.tell() > num_bytes:
                return


def _blocks(response: requests.Response) -> Iterator[bytes]:
    """The body as it comes: `iter_content` would lose the unfinished block of a lost connection."""
    try:
        while block := response.raw.read1(BLOCK_BYTES, decode_content=False):
            yield block
    except urllib3.exceptions.HTTPError as error:
        raise _Lost(f"the connection broke off ({_root(error)})", was_answered=True) from error


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _start_over(part: Path) -> None:
    with disk(part):
        part.unlink()
