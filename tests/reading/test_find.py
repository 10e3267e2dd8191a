"""Runs by what a person types."""

import pytest

from charlab.errors import UsageError
from charlab.reading.find import read_runs

from ..run_directories import make_run


@pytest.fixture
def root(tmp_path):
    for group, cell in (("cells", "gru"), ("cells", "lstm"), ("seeds", "gru")):
        make_run(tmp_path / "runs", cell, group=group)
    return tmp_path / "runs"


def found(root, *words):
    return sorted(f"{facts.group}/{facts.cell}" for facts in read_runs(words, root).runs)


ALL = ["cells/gru", "cells/lstm", "seeds/gru"]


def test_without_words_all_runs_below_the_root(root):
    assert found(root) == ALL
    assert found(root, str(root)) == ALL


def test_words_are_groups_folders_runs_files_and_globs(root, monkeypatch):
    monkeypatch.chdir(root.parent)
    (run,) = (root / "cells").glob("gru*")
    assert found(root, "cells") == ALL[:2]
    assert found(root, str(root / "seeds")) == ALL[2:]
    assert found(root, str(run)) == ALL[:1]
    assert found(root, str(run / "run.json")) == ALL[:1]
    assert found(root, str(root / "*" / "gru*")) == ["cells/gru", "seeds/gru"]
    # a glob may start in the root, as a group does
    assert found(root, "cells/g*") == ALL[:1]
    assert found(root, "[cs]*") == ALL
    monkeypatch.chdir(root / "cells")
    assert found(root, "lstm*") == ["cells/lstm"]


def test_each_run_comes_once(root):
    (root / "link").symlink_to(root / "cells")
    assert found(root, "cells", "cells/gru*", str(root), str(root / "link")) == ALL


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("cels", "cels names no runs; did you mean cells?"),
        ("nothing/like/it", "nothing/like/it names no runs"),
        ("/no/such/folder", "/no/such/folder names no runs"),
        ("~nobody-of-this-name/x", "~nobody-of-this-name/x names no runs"),
        ("a\0b", "names no runs"),
        ("**x", "**x names no runs"),
        ("[", "[ names no runs"),
    ],
)
def test_a_word_that_names_nothing_is_told_with_what_there_is(root, word, told):
    with pytest.raises(UsageError) as caught:
        read_runs([word], root)
    assert told in caught.value.what
    assert caught.value.hint == f"the groups in {root}: cells, seeds"


def test_a_folder_without_runs_is_no_mistake_of_the_reader(tmp_path):
    assert read_runs([str(tmp_path)]) == ([], [])
    with pytest.raises(UsageError, match="there are no runs here yet"):
        read_runs([], tmp_path / "runs")
