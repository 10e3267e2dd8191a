"""enwik8 on this machine: found where the user or the cache has it, else fetched; verified."""

from pathlib import Path
from urllib.parse import urlsplit

from charlab.config.schema_data import Enwik8Config
from charlab.data.checksum import remember
from charlab.data.compressed import UnpackError
from charlab.data.fetch import FetchError, fetch
from charlab.data.report import Report
from charlab.data.unpack import PlainText, TooLong, plain_text, unpack
from charlab.errors import UsageError
from charlab.files import locked, writing

SUFFIXES = ("", ".zip", ".gz", ".bz2", ".xz", ".zst")
FORMS = "enwik8, enwik8.zip, .gz, .bz2, .xz or .zst"
ELSEWHERE = "data=names, data=python_stdlib and data=text data.path=FILE need no network"


def find_enwik8(config: Enwik8Config, cache: Path, report: Report) -> tuple[PlainText, Path]:
    """The text, and the file it is from: data.path, what lies in the cache, or what is fetched.

    UsageError where that is not enwik8, unless data.verify=false, and where it cannot be fetched.
    """
    if config.path is not None:
        path = Path(config.path).expanduser()
        return _local(path, config, cache, report), path
    folder = cache / "enwik8"
    found = _in_folder(folder)
    if found is None:
        with locked(folder / "enwik8", "fetching enwik8", report.note):
            found = _in_folder(folder)  # fetched while this process waited
            if found is None:
                found = folder / "enwik8"
                _fetch(found, config, cache, report)
    return _local(found, config, cache, report), found


def is_enwik8(text: PlainText, config: Enwik8Config) -> bool:
    """Whether its checksum is the one that the configuration asks for."""
    return text.sha256 == config.content_sha256.strip().lower()


def _in_folder(folder: Path) -> Path | None:
    paths = [folder / f"enwik8{suffix}" for suffix in SUFFIXES]
    return next((path for path in paths if path.is_file()), None)


def _local(path: Path, config: Enwik8Config, cache: Path, report: Report) -> PlainText:
    try:
        max_bytes = config.num_bytes if config.verify else None
        text = plain_text(path, "data.path", cache, report, max_bytes)
    except TooLong as error:
        raise _not_enwik8(path, config, f"more than {config.num_bytes:,} bytes") from error
    if config.verify and not is_enwik8(text, config):
        got = f"{text.num_bytes:,} bytes with sha256 {text.sha256}"
        raise _not_enwik8(path, config, got)
    return text


def _not_enwik8(path: Path, config: Enwik8Config, got: str) -> UsageError:
    delete = "" if config.path else "delete it to fetch enwik8 again, or "
    return UsageError(
        f"{path} is not enwik8",
        expected=f"{config.num_bytes:,} bytes with sha256 {config.content_sha256}",
        got=got,
        hint=f"{delete}data.verify=false to take it as it is, cut by data.val_fraction and "
        "data.test_fraction (its scores are then not those of enwik8), or "
        f"data=text data.path={path}",
        option="data.path",
    )


def _fetch(target: Path, config: Enwik8Config, cache: Path, report: Report) -> None:
    """enwik8 at `target`, verified. The caller holds the lock of `target`."""
    archive = Path(urlsplit(config.url).path).name or "enwik8"
    part = target.with_name(f"{archive}.part")
    try:
        fetch(config.url, part, config.archive_bytes, "fetching enwik8", report)
    except FetchError as error:
        raise UsageError(
            "enwik8 is not on this machine and cannot be fetched",
            expected=f"{FORMS} in {target.parent}, or data.path=FILE",
            got=str(error),
            hint=f"put it there; {ELSEWHERE}",
            option="data.path",
        ) from error
    try:
        with writing(target) as file:
            unpack(part, file, "data.url", report, config.num_bytes)
            if file.sha256 != config.content_sha256.strip().lower():
                raise UnpackError(
                    f"what {config.url} holds is not enwik8, and was deleted",
                    expected=f"{config.num_bytes:,} bytes with sha256 {config.content_sha256}",
                    got=f"{file.num_bytes:,} bytes with sha256 {file.sha256}",
                    hint=f"start again, or put {FORMS} into {target.parent}; {ELSEWHERE}",
                    option="data.url",
                )
        remember(target, file.sha256, cache)
    except UnpackError:
        part.unlink()
        raise
    part.unlink()
