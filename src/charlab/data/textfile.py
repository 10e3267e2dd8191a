"""Reading the user's text file: found, checked, decoded, or a clear error.

What is compressed is the affair of `compressed.py`, what the text means that of `names.py`.
"""

import difflib
import hashlib
from pathlib import Path

from charlab.errors import UsageError


def check_file(path: Path, option: str) -> None:
    """UsageError unless `path` is a file; names the nearest name in its folder. Reads nothing."""
    if path.is_dir():
        raise UsageError(
            f"{path} is a folder",
            expected=f"{option} is one file",
            got="a folder" + _among(sorted(child.name for child in path.iterdir())),
            hint=f"{option}={path / 'FILE'}",
            option=option,
        )
    if path.exists() and not path.is_file():
        raise UsageError(
            f"{path} is not a regular file",
            expected=f"{option} is a file on a disk",
            got="a device or a pipe",
            hint="write it to a file first",
            option=option,
        )
    if not path.is_file():
        raise UsageError(
            f"there is no file {path}",
            expected=f"{option} is a file, relative to {Path.cwd()} or absolute",
            got=f"{option}={path}",
            hint=_suggestion(path, option),
            option=option,
        )


def _among(names: list[str]) -> str:
    return f" that holds {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}" if names else ""


def _suggestion(path: Path, option: str) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder} either; check {option}"
    names = [child.name for child in folder.iterdir() if child.is_file()]
    nearest = difflib.get_close_matches(path.name, names, n=1)
    return f"{option}={folder / nearest[0]}" if nearest else f"look into {folder}, check {option}"


def read_bytes(path: Path, option: str) -> bytes:
    """The file as it lies on disk; UsageError where it cannot be opened or is empty."""
    check_file(path, option)
    try:
        stored = path.read_bytes()
    except OSError as error:
        raise unreadable(path, option, error) from error
    if not stored:
        raise empty(path, option)
    return stored


def unreadable(path: Path, option: str, error: OSError) -> UsageError:
    """The error for a file that is there and cannot be read."""
    return UsageError(
        f"cannot read {path}",
        expected=f"{option} is a file you may read",
        got=str(error),
        hint="check its permissions (ls -l)",
        option=option,
    )


def empty(path: Path, option: str) -> UsageError:
    """The error for a file with nothing in it."""
    return UsageError(
        f"{path} is empty",
        expected=f"{option} is a file with text in it",
        got="0 bytes",
        hint=f"check {option}",
        option=option,
    )


def check_sha256(stored: bytes, expected: str, path: Path, option: str) -> None:
    """UsageError unless the sha256 of the stored bytes (of the .gz, not what is in it) agrees."""
    check_digest(hashlib.sha256(stored).hexdigest(), len(stored), expected, path, option)


def check_digest(got: str, num_bytes: int, expected: str, path: Path, option: str) -> None:
    """As `check_sha256`, of a file whose digest is known: `got`, over num_bytes."""
    if got != expected.strip().lower():
        raise UsageError(
            f"{path} is not the file that {option} asks for",
            expected=f"sha256 {expected}",
            got=f"sha256 {got} ({num_bytes:,} bytes)",
            hint=f"{option}={got} accepts this file, {option}=null any file",
            option=option,
        )


def decoded(raw: bytes, path: Path, option: str) -> str:
    """The text of the unpacked bytes of a file: UTF-8, without its byte order mark."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # With a byte order mark, utf-8-sig counts from behind it.
        offset = error.start + (3 if raw.startswith(b"\xef\xbb\xbf") else 0)
        line_number = raw.count(b"\n", 0, offset) + 1
        raise UsageError(
            f"{path} is not UTF-8",
            expected=f"{option} is UTF-8 text, plain or .zip .gz .bz2 .xz .zst",
            got=f"byte 0x{raw[offset]:02x} at offset {offset:,}, in line {line_number:,}",
            hint="convert it: iconv -f LATIN1 -t UTF-8 OLD > NEW (or the encoding it is in)",
            option=option,
        ) from error
