"""Whatever is in a folder: what is no run directory is told in a line, and never a traceback."""

import json
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charlab.compare.compare import compare
from charlab.compare.export import to_csv, to_json
from charlab.compare.table import show
from charlab.errors import UsageError
from charlab.reading.checked import ENTRIES, OPTIONS, checked_record, read_config
from charlab.reading.facts import read_run
from charlab.reading.find import read_runs
from charlab.terminal import console

from ..run_directories import make_run


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path)


def why(path: Path) -> str:
    """Why it is not read; empty where it is."""
    found = read_runs([str(path)])
    assert len(found.runs) + len(found.unreadable) == 1
    return "" if found.runs else found.unreadable[0].why


def compare_all_ways(folder: Path) -> None:
    """What `charlab compare` does with the runs of a folder."""
    comparison = compare(read_runs([str(folder)]))
    show(console(), comparison, ())
    json.loads(to_json(comparison), parse_constant=pytest.fail)
    to_csv(comparison)


def test_a_whole_run_directory_is_read(run):
    facts = read_run(run)
    assert (facts.name, facts.group, facts.seed, facts.cell) == (run.name, "cells", 0, "gru")
    assert (facts.state, facts.unit) == ("finished", "char")
    assert facts.score("test/bpc") == 3.28
    assert facts.score("test/none") is None


@pytest.mark.parametrize(
    ("file", "every"),
    [("run.json", 1), ("config.yaml", 7), pytest.param("config.yaml", 1, marks=pytest.mark.slow)],
)
def test_a_file_that_is_cut_at_any_byte_is_told_or_read(run, file, every):
    """YAML that is cut may be whole: then what is left has to hold what readers rely on."""
    text = (run / file).read_bytes()
    num_read = 0
    for end in reversed(range(0, len(text), every)):
        os.truncate(run / file, end)
        try:
            checked_record(run)
            read_config(run)
            num_read += 1
        except UsageError as error:
            assert str(error).startswith(file)
            assert "\n" not in str(error)
    # the last byte of run.json is a newline
    assert num_read <= (1 if file == "run.json" else len(text) // every // 2)


@pytest.mark.parametrize("file", ["run.json", "config.yaml"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", {"run.json": "run.json is damaged", "config.yaml": "does not hold"}),
        (b"\x00\xff\xfe\x80" * 50, {"run.json": "is damaged", "config.yaml": "is damaged"}),
        (b"[1, 2]", {"run.json": "holds a list", "config.yaml": "does not hold"}),
        (b"null", {"run.json": "holds null", "config.yaml": "does not hold"}),
        (b'"text"', {"run.json": "holds a str", "config.yaml": "does not hold"}),
        (b"{}", {"run.json": "lacks name, group, status", "config.yaml": "does not hold"}),
        (b"[" * 100_000, {"run.json": "is damaged", "config.yaml": "does not hold"}),
        (b"9" * 5000, {"run.json": "is damaged", "config.yaml": "is damaged"}),
        (b"!!int ''", {"run.json": "is damaged", "config.yaml": "is damaged"}),
        (b"2026-99-99", {"run.json": "is damaged", "config.yaml": "is damaged"}),
        (b"&a [*a]", {"run.json": "is damaged", "config.yaml": "does not hold"}),
        ("é".encode("latin-1"), {"run.json": "is damaged", "config.yaml": "is damaged"}),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else "",
)
def test_what_is_no_such_file_is_told(run, file, content, told):
    (run / file).write_bytes(content)
    assert told[file] in why(run)
    assert why(run).startswith(file)


def test_references_that_make_a_configuration_endless_are_told(run):
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("model:\n", "model: &model\n  self: *model\n"))
    assert why(run) == "config.yaml does not hold a whole configuration"
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    (run / "config.yaml").write_text(text + laughs)
    assert why(run) == "config.yaml does not hold a whole configuration"


@pytest.mark.parametrize("file", ["run.json", "config.yaml"])
def test_a_folder_of_that_name_is_told(run, file):
    (run / file).unlink()
    (run / file).mkdir()
    assert why(run) == f"{file} cannot be read: Is a directory"


def test_a_missing_file_is_told(run):
    (run / "run.json").rename(run / "other.json")
    assert why(run) == "no run.json in it"
    (run / "other.json").rename(run / "run.json")
    (run / "config.yaml").unlink()
    assert why(run) == "no config.yaml in it"


def test_links_in_a_circle_are_told_or_passed_over(tmp_path, run):
    (run / "run.json").unlink()
    (run / "run.json").symlink_to(run / "run.json")
    assert why(run) in (
        "run.json cannot be read: Too many levels of symbolic links",
        "no run.json in it",
    )
    (tmp_path / "cells" / "loop").symlink_to(tmp_path / "cells" / "loop")
    (tmp_path / "cells" / "up").symlink_to(tmp_path)
    make_run(tmp_path, "lstm")
    found = read_runs([str(tmp_path)])
    assert [facts.cell for facts in found.runs] == ["lstm"]


def test_what_may_not_be_read_is_told(tmp_path, monkeypatch):
    """As for the user of another account; this one may read all there is, perhaps."""
    closed, other = make_run(tmp_path, "gru"), make_run(tmp_path, "lstm")
    whole_stat, whole_read, whole_list = os.stat, Path.read_bytes, Path.iterdir

    def refuse(path):
        if closed in (Path(path), Path(path).parent):
            raise PermissionError(13, "Permission denied", str(path))

    def of_path(whole):
        def call(path, *words, **named):
            refuse(path)
            return whole(path, *words, **named)

        return call

    monkeypatch.setattr(Path, "read_bytes", of_path(whole_read))
    monkeypatch.setattr(Path, "iterdir", of_path(whole_list))
    found = read_runs([str(tmp_path)])
    assert [facts.path for facts in found.runs] == [other]
    (told,) = found.unreadable
    assert told == (closed, "run.json cannot be read: Permission denied")
    assert whole_stat is os.stat


def test_files_and_foreign_folders_among_runs_do_no_harm(tmp_path, run):
    (tmp_path / "cells" / "notes.txt").write_text("a file")
    (tmp_path / "cells" / "logs").mkdir()
    (tmp_path / "cells" / ".hidden").mkdir()
    (tmp_path / "cells" / "empty").mkdir()
    (tmp_path / "cells" / "metrics").mkdir()
    (tmp_path / "cells" / "metrics" / "metrics.jsonl").write_text("{}")
    found = read_runs([str(tmp_path)])
    assert [facts.path for facts in found.runs] == [run]
    assert {(path.name, told) for path, told in found.unreadable} == {
        ("empty", "no run.json in it"),
        ("metrics", "no run.json in it"),
    }


WRONG = [None, True, -1, 1.5, 10**400, "text", "12", [], [1], {}, {"a": 1}, [[]], "\x00", "\n"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if number % 3 else [])
        for number, name in enumerate(ENTRIES)
    ],
)
def test_a_wrong_type_in_run_json_is_told_or_harmless(run, name, capsys):
    record = json.loads((run / "run.json").read_text())
    for value in (*WRONG, float("nan"), float("-inf")):
        *parts, last = name.split(".")
        changed = json.loads(json.dumps(record))
        node = changed
        for part in parts:
            node = node[part]
        node[last] = value
        (run / "run.json").write_text(json.dumps(changed))
        told = why(run)
        if told:
            assert told.startswith(("run.json: ", "run.json lacks ", "run.json is damaged"))
            assert name in told or "damaged" in told
        compare_all_ways(run)
        assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("scores", [3.2], "run.json: scores is a list, not numbers by name"),
        ("scores", {"test/bpc": "3.2"}, "run.json: scores is a dict, not numbers by name"),
        ("data", "names", "run.json: data is 'names', not an object"),
        ("total_steps", "3488", "run.json: total_steps is '3488', not a whole number"),
        ("total_steps", 2**60, "run.json: total_steps is a huge number, not a whole number"),
        ("train_s", True, "run.json: train_s is True, not a number"),
        ("status", "done", "run.json: status is 'done'"),
        ("status", ["finished"], "run.json: status is a list"),
        ("started", None, "run.json lacks started"),
        ("name", "x" * 500, ""),
        ("code", 5, "run.json: code is 5, not a text"),
    ],
)
def test_what_is_wrong_in_run_json_is_said(run, name, value, told):
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {name: value}))
    assert why(run) == told


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("value", [None, [], {}, {"a": 1}, 1.5, float("nan"), b"bytes"])
def test_a_wrong_type_in_config_yaml_is_told(run, name, value):
    config = yaml.safe_load((run / "config.yaml").read_text())
    section, _, option = name.rpartition(".")
    (config[section] if section else config)[option] = value
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert why(run).startswith(("config.yaml: ", "config.yaml does not hold"))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("seed", "0", "config.yaml: seed is '0', not a whole number"),
        ("seed", True, "config.yaml: seed is True, not a whole number"),
        ("model", None, "config.yaml does not hold a whole configuration"),
        ("trainer", [], "config.yaml does not hold a whole configuration"),
        ("callbacks", None, ""),
        ("group", 2026, ""),
    ],
)
def test_what_is_wrong_in_config_yaml_is_said(run, name, value, told):
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(config | {name: value}))
    assert why(run) == told
    compare_all_ways(run)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b"null",
        b'{"host": 1, "place": 2, "pid": "\\u0000", "started": 3}',
        b'{"host": [], "place": {}, "pid": [], "started": null}',
    ],
)
def test_a_damaged_claim_is_told_or_nobodys(run, content):
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"status": "running"}))
    (run / "claim.json").write_bytes(content)
    told = why(run)
    assert told in ("", "claim.json is damaged")
    if not told:
        assert read_run(run).state in ("interrupted", "running")


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["finished", "nan", "1e400", 2**63, 10**30, "../..", "\x1b[2J"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths_of(tree, start=()):
    """Of all values, those inside of others too."""
    for key, value in tree.items():
        yield (*start, key)
        if isinstance(value, dict):
            yield from paths_of(value, (*start, key))


def mutated(tree, changes):
    """A copy; changes are places among all values, and what comes there: anything, or nothing."""
    copy = json.loads(json.dumps(tree))
    for place, is_gone, value in changes:
        paths = list(paths_of(copy))
        if not paths:
            break
        *parts, last = paths[place % len(paths)]
        node = copy
        for part in parts:
            node = node[part]
        if is_gone:
            del node[last]
        else:
            node[last] = value
    return copy


changes = st.lists(st.tuples(st.integers(0, 500), st.booleans(), anything), max_size=4)


@given(of_record=changes, of_config=changes)
@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_mutations_of_both_files_are_told_or_compared(tmp_path, capsys, of_record, of_config):
    folder = tmp_path / "runs"
    if not folder.exists():
        make_run(folder, "lstm", test=3.3)
        make_run(folder, "gru", seed=1, test=3.25)
        whole = make_run(folder, "gru", seed=0)
        whole.rename(tmp_path / "whole")
        (folder / "mutated").mkdir()
    record = json.loads((tmp_path / "whole" / "run.json").read_text())
    config = yaml.safe_load((tmp_path / "whole" / "config.yaml").read_text())
    changed = mutated(record, of_record)
    (folder / "mutated" / "run.json").write_text(json.dumps(changed), "utf-8", "surrogatepass")
    dumped = yaml.safe_dump(mutated(config, of_config), allow_unicode=False)
    (folder / "mutated" / "config.yaml").write_text(dumped, "utf-8", "surrogatepass")
    try:
        read_run(folder / "mutated")
    except UsageError as error:
        assert "\n" not in str(error)
    compare_all_ways(folder)
    out = capsys.readouterr().out
    assert "lstm" in out
    assert "\x1b" not in out
