"""The corpus of names: what is read, how it is split, every mistake's message, the bundled list."""

import bz2
import gzip
import hashlib
import io
import lzma
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from charlab.config.schema_data import NamesConfig
from charlab.data import names as names_module
from charlab.data.names import BUNDLED, check_names_config, read_names
from charlab.data.order import shuffled
from charlab.errors import UsageError

ITEMS = [f"name{index}" for index in range(20)]


def config(path=None, **options):
    return NamesConfig(name="names", path=None if path is None else str(path), **options)


def written(folder, content, name="list.txt"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def zipped(members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def all_items(corpus):
    return sorted(corpus.train + corpus.val + corpus.test)


def message(path, **options):
    with pytest.raises(UsageError) as caught:
        read_names(config(path, **options))
    return str(caught.value), caught.value


# ------------------------------------------------------------------------- the notebook's padding
def test_a_letter_fills_every_item_of_the_same_splits(tmp_path):
    path = written(tmp_path, "\n".join([*ITEMS, "Maximilian"]))
    plain, filled = read_names(config(path)), read_names(config(path, fill="s"))
    assert filled.fingerprint != plain.fingerprint
    for split in ("train", "val", "test"):
        items = getattr(filled, split)
        assert {len(item) for item in items} == {len("Maximilian")}
        for item, name in zip(items, getattr(plain, split), strict=True):
            assert item == name + "s" * (len("Maximilian") - len(name))


@pytest.mark.parametrize("fill", ["", "ss"])
def test_what_fills_items_is_one_letter(tmp_path, fill):
    told, error = message(written(tmp_path, "\n".join(ITEMS)), fill=fill)
    assert error.option == "data.fill"
    assert repr(fill) in told


# ------------------------------------------------------------------------------------- what is read
def test_lines_are_cleaned_deduplicated_and_counted(tmp_path):
    decomposed = unicodedata.normalize("NFD", "Zoë")
    lines = ["Anna", "  Bert\t", "", "Anna", "   ", decomposed, "Zoë", *ITEMS]
    corpus = read_names(config(written(tmp_path, "\r\n".join(lines) + "\r\n")))
    assert all_items(corpus) == sorted(["Anna", "Bert", "Zoë", *ITEMS])
    assert (corpus.num_lines, corpus.num_blank, corpus.num_duplicates) == (27, 2, 2)
    assert corpus.source == str(tmp_path / "list.txt")


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("bom.txt", lambda data: b"\xef\xbb\xbf" + data),
        ("list.txt.gz", gzip.compress),
        ("gzip_without_its_suffix.txt", gzip.compress),
        ("bom.gz", lambda data: gzip.compress(b"\xef\xbb\xbf" + data)),
        ("no_last_line_end.txt", bytes.rstrip),
        ("list.txt.zip", lambda data: zipped({"inside.txt": data})),
        ("zip_without_its_suffix.txt", lambda data: zipped({"inside.txt": data})),
        ("list.bz2", bz2.compress),
        ("list.xz", lzma.compress),
        ("list.zst", zstandard.compress),
    ],
)
def test_every_form_of_a_file_is_the_same_corpus(tmp_path, name, encode):
    data = "\n".join(ITEMS).encode() + b"\n"
    plain = read_names(config(written(tmp_path, data)))
    other = read_names(config(written(tmp_path, encode(data), name)))
    assert (other.train, other.val, other.test) == (plain.train, plain.val, plain.test)
    assert other.fingerprint == plain.fingerprint
    assert other.num_lines == 20


def test_unusual_white_space_inside_an_item_does_not_end_its_line(tmp_path):
    items = ["a\u2028b", "c\x0bd", "e\x85f", *ITEMS]
    corpus = read_names(config(written(tmp_path, "\n".join(items))))
    assert all_items(corpus) == sorted(items)


# ---------------------------------------------------------------------------------------- the split
@settings(max_examples=50, deadline=None)
@given(
    items=st.lists(st.text("abcdé", min_size=1, max_size=3), min_size=30, max_size=90),
    seed=st.integers(0, 2**32),
    fractions=st.tuples(st.floats(0.1, 0.4), st.floats(0.1, 0.4)),
)
def test_the_splits_are_disjoint_and_hold_each_distinct_item_once(
    tmp_path_factory, items, seed, fractions
):
    distinct = set(items)
    if len(distinct) < 10:
        return
    path = written(tmp_path_factory.mktemp("names"), "\n".join(items))
    val_fraction, test_fraction = fractions
    corpus = read_names(
        config(path, split_seed=seed, val_fraction=val_fraction, test_fraction=test_fraction)
    )
    assert all_items(corpus) == sorted(distinct)
    assert len(corpus.val) == round(val_fraction * len(distinct))
    assert len(corpus.test) == round(test_fraction * len(distinct))
    assert corpus.num_duplicates == len(items) - len(distinct)


def test_the_split_depends_on_the_seed_and_the_distinct_items_alone(tmp_path):
    first = read_names(config(written(tmp_path, "\n".join(ITEMS))))
    disordered = "\n".join(ITEMS[::-1] + ITEMS[:7])
    again = read_names(config(written(tmp_path, disordered)))
    other = read_names(config(written(tmp_path, disordered), split_seed=1))
    assert (again.train, again.val, again.test) == (first.train, first.val, first.test)
    assert again.fingerprint == first.fingerprint
    assert set(other.test) != set(first.test)
    assert other.fingerprint != first.fingerprint


def test_the_shuffle_never_changes():
    # PCG64's raw words are part of numpy's promise; a new order would move every split.
    assert shuffled(10, 0).tolist() == [3, 2, 1, 8, 6, 0, 7, 4, 5, 9]
    assert shuffled(10, 0, 3).tolist() == [8, 9, 4, 3, 6, 2, 5, 7, 1, 0]


# ------------------------------------------------------------------------------------- the mistakes
def test_a_missing_file_names_the_nearest(tmp_path):
    written(tmp_path, "a", "surnames.txt")
    text, error = message(tmp_path / "surname.txt")
    assert f"there is no file {tmp_path / 'surname.txt'}" in text
    assert f"data.path={tmp_path / 'surnames.txt'}" in text
    assert error.option == "data.path"
    assert error.exit_code == 2


def test_a_missing_folder_is_said_to_be_missing(tmp_path):
    text, _ = message(tmp_path / "no" / "list.txt")
    assert f"there is no folder {tmp_path / 'no'} either; check data.path" in text


def test_a_folder_is_no_file(tmp_path):
    written(tmp_path, "a", "inside.txt")
    text, _ = message(tmp_path)
    assert f"{tmp_path} is a folder" in text
    assert "a folder that holds inside.txt" in text


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_bytes_that_are_not_utf8_are_located(tmp_path, mark):
    data = mark + b"Anna\nBert\nZo\xeb\n"
    text, _ = message(written(tmp_path, data))
    assert "is not UTF-8" in text
    assert f"byte 0xeb at offset {len(mark) + 12}, in line 3" in text
    assert "iconv" in text


def test_a_damaged_gz_is_named(tmp_path):
    packed = gzip.compress("\n".join(ITEMS).encode())
    text, error = message(written(tmp_path, packed[:-12], "list.gz"))
    assert "list.gz cannot be unpacked" in text
    assert "gzip -t FILE" in text
    assert error.option == "data.path"


def test_a_list_that_is_called_gz_and_is_none_is_named(tmp_path):
    text, _ = message(written(tmp_path, "\n".join(ITEMS), "list.gz"))
    assert "list.gz is called .gz and is not" in text


def test_a_zip_of_several_lists_names_them(tmp_path):
    packed = zipped({"girls.txt": b"Anna", "boys.txt": b"Bert"})
    text, _ = message(written(tmp_path, packed, "list.zip"))
    assert "holds 2 files" in text
    assert "'girls.txt', 'boys.txt'" in text


def test_another_checksum_is_refused_and_the_right_one_is_not(tmp_path):
    path = written(tmp_path, "\n".join(ITEMS))
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    text, error = message(path, sha256="0" * 64)
    assert f"expected  sha256 {'0' * 64}" in text
    assert f"data.sha256={right} accepts this file, data.sha256=null any file" in text
    assert error.option == "data.sha256"
    assert len(all_items(read_names(config(path, sha256=right.upper())))) == 20


@pytest.mark.parametrize(
    ("name", "content"), [("a.txt", b""), ("a.gz", gzip.compress(b"", mtime=0)), ("b.gz", b"")]
)
def test_an_empty_file_is_named(tmp_path, name, content):
    text, _ = message(written(tmp_path, content, name))
    assert f"{name} is empty" in text


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ("a\na\nb\n", "2 distinct, cut into 2 train, 0 val and 0 test"),
        (" \n\n", "0 distinct, cut into 0 train, 0 val and 0 test"),
    ],
)
def test_too_few_items_are_counted(tmp_path, content, got):
    text, _ = message(written(tmp_path, content))
    assert "too few items to split" in text
    assert got in text


def test_fractions_that_leave_nothing_are_refused(tmp_path):
    options = {"val_fraction": 0.6, "test_fraction": 0.4}
    text, error = message(written(tmp_path, "\n".join(ITEMS)), **options)
    assert "data.val_fraction + data.test_fraction < 1" in text
    assert "0.6 + 0.4 = 1" in text
    assert error.option == "data.val_fraction"


def test_a_line_that_is_too_long_is_named(tmp_path):
    content = "\n".join(["Anna", "  " + "x" * 9 + " ", *ITEMS])
    text, error = message(written(tmp_path, content), max_length=8)
    assert "line 2 of" in text
    assert "9 characters" in text
    assert "data.max_length=8" in text
    assert error.option == "data.max_length"
    assert "x" * 9 in all_items(read_names(config(tmp_path / "list.txt", max_length=9)))


def test_the_cheap_check_reads_no_data(tmp_path):
    check_names_config(config(written(tmp_path, b"\xff")))
    check_names_config(config())
    with pytest.raises(UsageError, match="there is no file"):
        check_names_config(config(tmp_path / "other.txt"))
    with pytest.raises(UsageError, match="nothing is left to train on"):
        check_names_config(config(val_fraction=0.5, test_fraction=0.5))


def test_torch_is_not_imported():
    code = (
        "import sys, charlab.data.names, charlab.data.ngram_floors; print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


# --------------------------------------------------------------------------------- the bundled list
def test_the_bundled_list_is_as_its_readme_says():
    corpus = read_names(config())
    assert corpus.source == "bundled"
    assert (corpus.num_lines, corpus.num_blank, corpus.num_duplicates) == (17_367, 0, 0)
    lines = BUNDLED.read_text("utf-8").splitlines()
    assert lines == sorted(lines)
    assert len(set("".join(lines))) == 79
    assert {len(line) for line in lines} == set(range(2, 15))
    readme = BUNDLED.with_name("README.md").read_text("utf-8")
    for fact in (
        "17,367 distinct",
        "79 distinct characters",
        NamesConfig.bundled_sha256,
        "40.54.0",
    ):
        assert fact in readme
    notice = BUNDLED.with_name("LICENSE-faker.txt").read_text("utf-8")
    assert "Copyright (c) 2012 Daniele Faraglia" in notice
    assert "The above copyright notice and this permission notice shall be included" in notice


def test_a_changed_bundled_list_is_noticed(tmp_path, monkeypatch):
    path = written(tmp_path, BUNDLED.read_bytes().replace(b"\n", b"\r\n"))
    monkeypatch.setattr(names_module, "BUNDLED", path)
    text, _ = message(None)
    assert "the bundled list of names was changed" in text
    assert NamesConfig.bundled_sha256 in text


def test_the_kantrowitz_list_has_the_counts_of_its_reference():
    path = Path(__file__).parents[2].parent / "shared" / "data" / "names_kantrowitz.txt"
    if not path.exists():
        pytest.skip("needs the Kantrowitz list")
    corpus = read_names(config(path))
    assert corpus.num_lines == 7_944
    assert len(all_items(corpus)) == 7_578
    assert len(set("".join(all_items(corpus)))) == 55
    assert max(map(len, all_items(corpus))) == 15
