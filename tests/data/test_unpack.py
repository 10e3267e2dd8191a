"""Every compressed form against the package that made it; damage, cached texts, a full disk."""

import bz2
import gzip
import hashlib
import io
import lzma
import resource
import sys
import zipfile
from contextlib import contextmanager

import numpy as np
import pytest
import zstandard

from charlab.data import compressed
from charlab.data.compressed import form_of
from charlab.data.report import SilentReport
from charlab.data.unpack import plain_text
from charlab.errors import UsageError

QUIET = SilentReport()
# Of symbols that compress.
TEXT = bytes(np.random.default_rng(0).choice(np.frombuffer(b"abcde \n", np.uint8), 150_000))


def zipped(*members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def in_two_parts(compress):
    """Two streams end to end, which `cat a.gz b.gz` makes."""
    return lambda text: compress(text[:1000]) + compress(text[1000:])


PACKERS = {
    "zip": lambda text: zipped(("folder/", b""), ("folder/a.txt", text)),
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lambda text: lzma.compress(text, preset=0),
    "zst": zstandard.compress,
}


@pytest.fixture(autouse=True)
def _several_blocks(monkeypatch):
    monkeypatch.setattr(compressed, "BLOCK_BYTES", 40_000)
    monkeypatch.setattr(compressed, "ZST_BLOCK_BYTES", 1000)


def written(folder, content, name):
    path = folder / name
    path.write_bytes(content)
    return path


def read(path, cache, **options):
    return plain_text(path, "data.path", cache, QUIET, **options)


def message(path, cache, **options):
    with pytest.raises(UsageError) as caught:
        read(path, cache, **options)
    return str(caught.value)


@pytest.mark.parametrize("form", PACKERS)
@pytest.mark.parametrize("name", ["a.{form}", "without_its_suffix"])
def test_every_form_gives_its_text(tmp_path, form, name):
    packed = PACKERS[form](TEXT)
    path = written(tmp_path, packed, name.format(form=form))
    assert form_of(path, "data.path") == form
    text = read(path, tmp_path / "cache")
    assert text.path.read_bytes() == TEXT
    assert text.path.is_relative_to(tmp_path / "cache")
    assert text.num_bytes == len(TEXT)
    assert text.sha256 == hashlib.sha256(TEXT).hexdigest()
    assert text.stored_sha256 == hashlib.sha256(packed).hexdigest()


@pytest.mark.parametrize("form", ["gz", "bz2", "xz", "zst"])
def test_streams_end_to_end_are_one_text(tmp_path, form):
    path = written(tmp_path, in_two_parts(PACKERS[form])(TEXT), f"a.{form}")
    assert read(path, tmp_path / "cache").path.read_bytes() == TEXT


def test_a_plain_file_stays_where_it_is(tmp_path):
    path = written(tmp_path, b"BZh is how bzip2 begins, and this text", "a.txt")
    text = read(path, tmp_path / "cache")
    assert text.path == path
    assert text.sha256 == text.stored_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_is_unpacked_once(tmp_path):
    path = written(tmp_path, gzip.compress(TEXT), "a.gz")
    first = read(path, tmp_path / "cache")
    was = first.path.stat()
    again = read(path, tmp_path / "cache")
    assert again == first
    assert again.path.stat().st_mtime_ns == was.st_mtime_ns
    assert again.path.stat().st_ino == was.st_ino


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1000]),
        lambda path: path.write_bytes(bytes(len(TEXT))),  # of the right size
        lambda path: path.unlink(),
        lambda path: path.with_name(path.name + ".json").write_text("{"),
        lambda path: path.with_name(path.name + ".json").write_text("{}"),
    ],
)
def test_a_damaged_entry_of_the_cache_is_made_again(tmp_path, damage):
    path = written(tmp_path, gzip.compress(TEXT), "a.gz")
    kept = read(path, tmp_path / "cache").path
    damage(kept)
    again = read(path, tmp_path / "cache")
    assert again.path == kept
    assert kept.read_bytes() == TEXT


def test_a_file_that_changed_is_another_text(tmp_path):
    path = written(tmp_path, gzip.compress(TEXT), "a.gz")
    read(path, tmp_path / "cache")
    written(tmp_path, gzip.compress(TEXT[::-1]), "a.gz")
    assert read(path, tmp_path / "cache").path.read_bytes() == TEXT[::-1]


# ------------------------------------------------------------------------------------- the mistakes
def leftovers(cache):
    unpacked = cache / "unpacked"
    return [path for path in unpacked.glob("*") if path.suffix != ".lock"]


@pytest.mark.parametrize("form", PACKERS)
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data[:3000] + bytes(2000) + data[5000:],
    ],
)
def test_a_damaged_archive_is_named_and_leaves_nothing(tmp_path, form, damage):
    path = written(tmp_path, damage(PACKERS[form](TEXT)), f"a.{form}")
    text = message(path, tmp_path / "cache")
    assert f"{path} cannot be unpacked" in text
    assert f"data.path is a whole .{form} file" in text
    assert {"zip": "unzip", "gz": "gzip", "zst": "zstd"}.get(form, form) in text
    assert leftovers(tmp_path / "cache") == []


@pytest.mark.parametrize("form", PACKERS)
def test_a_text_that_is_called_an_archive_is_refused(tmp_path, form):
    path = written(tmp_path, b"plain text", f"a.{form}")
    text = message(path, tmp_path / "cache")
    assert f"{path} is called .{form} and is not" in text
    assert "the bytes 70 6c 61 69 6e" in text


@pytest.mark.parametrize("name", ["a.txt", "a.gz", "b.gz", "a.zst"])
def test_an_empty_file_is_named(tmp_path, name):
    content = {"b.gz": gzip.compress(b""), "a.zst": zstandard.compress(b"")}.get(name, b"")
    text = message(written(tmp_path, content, name), tmp_path / "cache")
    assert f"{name} is empty" in text


@pytest.mark.parametrize(
    ("names", "shown"),
    [(["a.txt", "b.txt"], "'a.txt', 'b.txt'"), (list("abcdefg"), "'e' ..."), ([], "none")],
)
def test_a_zip_of_several_files_lists_them(tmp_path, names, shown):
    path = written(tmp_path, zipped(*((name, b"text") for name in names)), "a.zip")
    text = message(path, tmp_path / "cache")
    assert f"{path} holds {len(names)} files" in text
    assert shown in text
    assert "unpack it, then data.path=FILE" in text


def test_a_zip_with_a_password_is_named(tmp_path):
    packed = bytearray(zipped(("a.txt", b"text")))
    # bit 0 of the flags: encrypted (APPNOTE 4.4.4), in the member's header and in the directory
    packed[6] |= 1
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    text = message(written(tmp_path, bytes(packed), "a.zip"), tmp_path / "cache")
    assert "cannot be unpacked" in text
    assert "password" in text


def test_what_unpacks_to_more_than_it_may_is_stopped(tmp_path):
    path = written(tmp_path, gzip.compress(bytes(50_000_000)), "a.gz")
    text = message(path, tmp_path / "cache", max_bytes=len(TEXT))
    assert "expected  150,000 bytes" in text
    assert leftovers(tmp_path / "cache") == []


def test_zst_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    path = written(tmp_path, zstandard.compress(TEXT), "a.zst")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    text = message(path, tmp_path / "cache")
    assert "-e '.[zstd]'" in text


@contextmanager
def file_size_limited(num_bytes):
    """A stand-in for a full disk: the system refuses to let a file grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path):
    path = written(tmp_path, gzip.compress(TEXT), "a.gz")
    with file_size_limited(120_000):
        text = message(path, tmp_path / "cache")
    assert f"cannot write {tmp_path / 'cache' / 'unpacked'}" in text
    assert "File too large" in text
    assert "paths.cache=FOLDER, or make room" in text
    assert leftovers(tmp_path / "cache") == []
    assert read(path, tmp_path / "cache").path.read_bytes() == TEXT


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    path = written(tmp_path, gzip.compress(TEXT), "a.gz")
    cache = written(tmp_path, b"a file", "cache") / "inside"
    text = message(path, cache)
    assert f"cannot write {cache}" in text
    assert "paths.cache is a folder that can be written" in text


def test_a_plain_file_needs_no_cache(tmp_path):
    path = written(tmp_path, TEXT, "a.txt")
    cache = written(tmp_path, b"a file", "cache") / "inside"
    assert read(path, cache).path == path
