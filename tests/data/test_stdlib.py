"""The standard library as one text: which files, in which order, made anew when they change."""

import hashlib
import platform

import pytest

from charlab.data.report import SilentReport
from charlab.data.stdlib import read_stdlib
from charlab.errors import UsageError

QUIET = SilentReport()


@pytest.fixture
def library(tmp_path):
    root = tmp_path / "lib"
    for name, source in {
        "a.py": b"a = 1\n",
        "b.py": b"b = 2",  # no last line break
        "package/__init__.py": b"",
        "package/c.py": "ü = 3\n".encode(),
        "package/data.txt": b"no source",
        "package/__pycache__/c.py": b"no source",
        "test/latin.py": "ü = 4\n".encode("latin-1"),
        "site-packages/numpy.py": b"not ours",
        "dist-packages/numpy.py": b"not ours",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source)
    (root / "broken.py").symlink_to(root / "nowhere.py")
    return root


def test_its_utf8_sources_stand_end_to_end_in_the_order_of_their_hashes(library, tmp_path):
    text = read_stdlib(tmp_path / "cache", QUIET, library)
    sources = {"a.py": "a = 1\n", "b.py": "b = 2\n", "package/c.py": "ü = 3\n"}
    order = sorted(sources, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert text.path.read_text("utf-8") == "".join(sources[name] for name in order)
    assert text.num_files == 3
    version = f"{platform.python_implementation()} {platform.python_version()}"
    assert text.source == f"{version} standard library, 3 files"


def test_it_is_collected_once_and_anew_when_a_size_changes(library, tmp_path):
    first = read_stdlib(tmp_path / "cache", QUIET, library)
    was = first.path.stat()
    assert read_stdlib(tmp_path / "cache", QUIET, library) == first
    assert first.path.stat().st_mtime_ns == was.st_mtime_ns
    (library / "a.py").write_text("a = 11\n")
    other = read_stdlib(tmp_path / "cache", QUIET, library)
    assert other.path != first.path
    assert "a = 11\n" in other.path.read_text("utf-8")


def test_another_version_of_python_collects_its_own(library, tmp_path, monkeypatch):
    first = read_stdlib(tmp_path / "cache", QUIET, library)
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")
    other = read_stdlib(tmp_path / "cache", QUIET, library)
    assert other.path != first.path
    assert "3.99.0" in other.source


def test_a_python_without_sources_is_named(tmp_path):
    with pytest.raises(UsageError) as caught:
        read_stdlib(tmp_path / "cache", QUIET, tmp_path)
    assert "this Python has no source of its standard library" in str(caught.value)
    assert "data=names" in str(caught.value)


def test_the_library_of_this_python_is_a_corpus(tmp_path):
    text = read_stdlib(tmp_path, QUIET)
    assert text.path.stat().st_size > 5_000_000
    assert text.num_files > 400
    source = text.path.read_text("utf-8")
    assert "class OrderedDict(dict):" in source
    assert source.endswith("\n")
