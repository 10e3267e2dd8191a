"""What is said where a run directory cannot be made, or where a path is none."""

import json
import os
from pathlib import Path

import pytest

from charlab.errors import UsageError
from charlab.runs import Run, read_record


def create(runs, seed=0):
    model = {"cell": "gru", "num_layers": 1, "hidden_size": 8, "match_params": None}
    trainer = {"max_steps": 30, "max_epochs": None}
    config = {"seed": seed, "group": "names", "model": model, "trainer": trainer}
    return Run.create(config, [], runs)


@pytest.mark.parametrize("place", ["runs", "group"])
def test_a_folder_that_cannot_be_made_is_the_users_mistake(tmp_path, place):
    """Here a file stands where the folder would be."""
    blocked = tmp_path / "runs" if place == "runs" else tmp_path / "runs" / "names"
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("a file")
    with pytest.raises(UsageError) as caught:
        create(tmp_path / "runs")
    assert caught.value.option == "paths.runs"
    assert str(caught.value).splitlines() == [
        f"cannot make a run directory in {tmp_path / 'runs' / 'names'}",
        "  expected  a folder that can be written",
        "  got       Not a directory",
        "  try       paths.runs=FOLDER puts the runs elsewhere",
    ]
    assert blocked.read_text() == "a file"


@pytest.fixture(autouse=True)
def _no_runs_here(tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


def message(path):
    with pytest.raises(UsageError) as caught:
        read_record(path)
    return str(caught.value).splitlines()


def test_reading_what_is_no_run_says_so(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    expected = "  expected  a folder with run.json, config.yaml and checkpoints/"
    hint = "  try       python train.py makes one"
    for name, got in (
        ("missing", "no such folder"),
        ("empty", "no run.json in it"),
        ("file", "no run.json in it"),
    ):
        path = tmp_path / name
        assert message(path) == [
            f"{path} is not a run directory",
            expected,
            f"  got       {got}",
            hint,
        ]


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b'{"status": "runn', "  got       run.json: Unterminated string starting at: "),
        (b"", "  got       run.json: Expecting value: "),
        (b"\xff\xfe{}", "  got       run.json: 'utf-8' codec can't decode byte 0xff "),
    ],
)
def test_reading_a_broken_record_says_what_is_wrong_with_it(tmp_path, content, got):
    (tmp_path / "run.json").write_bytes(content)
    first, _, third, _ = message(tmp_path)
    assert first == f"{tmp_path} is not a run directory"
    assert third.startswith(got)


@pytest.mark.parametrize("content", ["[]", "null", '"running"', "3", "{}"])
def test_reading_json_that_is_no_record_says_so(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    assert message(tmp_path) == [
        f"{tmp_path / 'run.json'} does not hold a record",
        "  expected  a JSON object with a status: running, finished, failed, pruned, preempted",
        f"  got       {json.loads(content)!r}",
        "  try       a copy of the run, where there is one",
    ]


def test_the_newest_runs_near_by_are_suggested(tmp_path):
    paths = [create(tmp_path, seed).path for seed in range(4)]
    for age_s, path in enumerate(reversed(paths)):
        os.utime(path / "run.json", (1_700_000_000 - age_s, 1_700_000_000 - age_s))
    newest = ", ".join(str(path) for path in reversed(paths[1:]))
    for typed in (tmp_path / "names" / "gru-1xh1", tmp_path / "nmaes" / "gru", tmp_path):
        assert message(typed)[-1] == f"  try       one of the newest runs: {newest}"


def test_a_path_far_from_any_run_does_not_search_the_whole_disk(monkeypatch):
    """A typing error in an absolute path leaves "/" as the nearest folder there is."""
    searched = []
    monkeypatch.setattr(Path, "glob", lambda path, pattern: searched.append(path) or [])
    monkeypatch.setattr(Path, "rglob", lambda path, pattern: searched.append(path) or [])
    root = Path(Path.cwd().anchor)
    message(root / "no-such-folder" / "names" / "gru")
    assert root not in searched
