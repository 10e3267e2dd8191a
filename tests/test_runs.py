"""The run directory: what it holds, how it is named, and what stays whole whatever happens."""

import hashlib
import json
import math
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import charlab
from charlab.errors import CannotWrite
from charlab.provenance import PACKAGES, git_state
from charlab.run_names import config_hash, slug
from charlab.runs import Run, read_record

CONFIG = {
    "seed": 3,
    "group": "names",
    "model": {"cell": "custom_gru", "num_layers": 2, "hidden_size": 64, "match_params": None},
    "data": {"name": "names", "path": None, "tags": ["ä", "b"]},
    "trainer": {"max_steps": 30, "max_epochs": None},
    "paths": {"runs": "runs", "cache": "cache"},
}
OVERRIDES = ["model=custom_gru", "+model.note='a b'", "seed=3"]


def changed(**entries):
    return CONFIG | entries


def with_model(**entries):
    return changed(model=CONFIG["model"] | entries)


def create(runs, config=CONFIG):
    return Run.create(config, OVERRIDES, runs)


def strict_json(text):
    """As any reader reads it: NaN and Infinity are no JSON."""

    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def lines(path):
    return [strict_json(line) for line in path.read_text(encoding="utf-8").splitlines()]


# ------------------------------------------------------------------------------------ its contents
def test_a_new_run_has_all_its_files(tmp_path):
    run = create(tmp_path / "not" / "yet")
    assert run.path.parent == tmp_path / "not" / "yet" / "names"
    assert run.path.name == f"custom_gru-2xh64-s3-{config_hash(CONFIG)}"
    assert {path.name for path in run.path.iterdir()} == {
        "checkpoints",
        "claim.json",
        "config.yaml",
        "overrides.txt",
        "run.json",
    }
    assert run.checkpoints == run.path / "checkpoints"
    assert list(run.checkpoints.iterdir()) == []
    stored = OmegaConf.to_container(OmegaConf.load(run.path / "config.yaml"))
    assert stored == CONFIG
    text = (run.path / "overrides.txt").read_text(encoding="utf-8")
    assert text.splitlines() == OVERRIDES


def test_the_record_says_what_ran_and_on_what(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/train.py", "seed=3"])
    run = create(tmp_path)
    record = strict_json((run.path / "run.json").read_text(encoding="utf-8"))
    assert record == run.record == read_record(run.path)
    assert record["name"] == run.path.name
    assert (record["group"], record["status"], record["ended"]) == ("names", "running", None)
    assert record["config_hash"] == config_hash(CONFIG)
    assert record["command"] == ["train.py", *OVERRIDES]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record["started"])
    assert set(record["versions"]) == {"python", "charlab", *PACKAGES}
    assert record["versions"]["charlab"] == charlab.__version__
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record["hardware"]["cpu_cores"] >= 1

    run.end("finished", scores={"test/bpc": 1.5})
    record = read_record(run.path)
    assert (record["status"], record["scores"]) == ("finished", {"test/bpc": 1.5})
    assert record["seconds"] >= 0 and record["ended"] >= record["started"]


def test_git_state_is_the_commit_and_whether_it_was_changed(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *words], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert git_state(tmp_path / "nowhere") == {"commit": None, "dirty": None}
    git("init")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "code.py").write_text("1")
    git("add", ".")
    git("commit", "-m", "one")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "new.txt").write_text("not of the code")
    assert git_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "src" / "mine.py").write_text("a file that git does not have counts")
    assert git_state(tmp_path) == {"commit": commit, "dirty": True}
    (tmp_path / "src" / "mine.py").unlink()
    (tmp_path / "src" / "code.py").write_text("2")
    assert git_state(tmp_path) == {"commit": commit, "dirty": True}


def test_metrics_are_one_row_a_line_and_what_is_not_finite_is_null(tmp_path):
    run = create(tmp_path)
    run.add_metrics(10, 640, {"train/loss": 1.25, "train/bpc": math.nan})
    run.add_metrics(20, 1280, {"train/loss": math.inf, "train/bpc": -math.inf, "perf/step_ms": 3})
    rows = lines(run.path / "metrics.jsonl")
    assert [row.pop("seconds") >= 0 for row in rows] == [True, True]
    assert rows == [
        {"step": 10, "chars_seen": 640, "train/loss": 1.25, "train/bpc": None},
        {
            "step": 20,
            "chars_seen": 1280,
            "train/loss": None,
            "train/bpc": None,
            "perf/step_ms": 3,
        },
    ]


def test_a_score_that_is_not_finite_leaves_run_json_readable(tmp_path):
    run = create(tmp_path)
    run.end("finished", scores={"test/bpc": math.nan, "test/loss": math.inf})
    record = strict_json((run.path / "run.json").read_text(encoding="utf-8"))
    assert record["scores"] == {"test/bpc": None, "test/loss": None}


def test_samples_are_one_a_line_in_the_characters_they_have(tmp_path):
    run = create(tmp_path)
    texts = ["Zoë", 'a "b"\nc', "日本"]
    run.add_samples({"step": 1, "text": text} for text in texts[:2])
    run.add_samples([{"step": 2, "text": texts[2]}])
    assert [row["text"] for row in lines(run.path / "samples.jsonl")] == texts
    assert "日本" in (run.path / "samples.jsonl").read_text(encoding="utf-8")


# --------------------------------------------------------------------------------------- its name
def test_the_hash_is_of_what_results_depend_on():
    name = config_hash(CONFIG)
    assert re.fullmatch("[0-9a-f]{8}", name)
    assert config_hash(changed(paths={"runs": "elsewhere"})) == name
    assert config_hash(dict(reversed(CONFIG.items()))) == name
    assert config_hash(changed(logger={"wandb": {"mode": "offline"}})) == name
    watched = {"progress": {"enabled": False}, "checkpoint": {"every_s": 5.0}}
    assert config_hash(changed(callbacks=watched)) == config_hash(
        changed(callbacks={"progress": {}, "checkpoint": {"every_n_steps": 7}})
    )
    others = [
        changed(seed=4),
        changed(group="other"),
        with_model(hidden_size=65),
        with_model(extra=None),
        changed(data=CONFIG["data"] | {"tags": ["b", "ä"]}),
        changed(data=CONFIG["data"] | {"path": "runs"}),
        changed(callbacks={"checkpoint": {"enabled": False}}),
    ]
    assert len({config_hash(other) for other in others} | {name}) == len(others) + 1


def test_the_hash_is_the_same_on_every_day():
    """Sweeps know by it what is done, so it is a part of the format."""
    text = b'{"model": {"cell": "gru"}, "seed": 0}'
    config = {"seed": 0, "paths": {"runs": "x"}, "model": {"cell": "gru"}}
    assert config_hash(config) == hashlib.sha256(text).hexdigest()[:8]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({}, "custom_gru-2xh64-s3"),
        ({"match_params": 24_000.0}, "custom_gru-2xp2.4e04-s3"),
        ({"match_params": 1.2e6}, "custom_gru-2xp1.2e06-s3"),
        ({"match_params": 1e15}, "custom_gru-2xp1e15-s3"),
        ({"match_params": 999.0}, "custom_gru-2xp999-s3"),
    ],
)
def test_a_slug_names_cell_layers_size_and_seed(entries, expected):
    name = slug(with_model(**entries))
    assert name == expected
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", name)


def test_a_second_run_of_a_configuration_gets_the_next_number(tmp_path):
    first, second, third = (create(tmp_path).path for _ in range(3))
    assert (second.name, third.name) == (f"{first.name}-2", f"{first.name}-3")
    assert read_record(second)["name"] == second.name
    assert create(tmp_path, changed(seed=9)).path.name.endswith(config_hash(changed(seed=9)))
    assert create(tmp_path, changed(group="b")).path.parent.name == "b"


def test_threads_get_directories_of_their_own(tmp_path):
    barrier = threading.Barrier(6)

    def make(_):
        barrier.wait()
        return create(tmp_path).path

    with ThreadPoolExecutor(6) as pool:
        paths = set(pool.map(make, range(6)))
    assert len(paths) == 6
    base = min(path.name for path in paths)
    assert {path.name for path in paths} == {base, *(f"{base}-{n}" for n in range(2, 7))}
    assert {read_record(path)["name"] for path in paths} == {path.name for path in paths}


def test_processes_get_directories_of_their_own(tmp_path):
    """All three wait for one word, so that they make theirs at the same time."""
    code = (
        "import json, sys; from pathlib import Path; from charlab.runs import Run\n"
        "config = json.loads(sys.argv[1]); print('ready', flush=True); sys.stdin.readline()\n"
        "print(Run.create(config, [], Path(sys.argv[2])).path)"
    )
    words = [sys.executable, "-c", code, json.dumps(CONFIG), str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(words, **pipes) for _ in range(3)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    paths = {Path(process.communicate(timeout=60)[0].strip()) for process in processes}
    assert len(paths) == 3
    assert {read_record(path)["name"] for path in paths} == {path.name for path in paths}


# ------------------------------------------------------------------------------- run.json is whole
def test_a_reader_never_sees_half_a_record(tmp_path):
    run = create(tmp_path)
    stop = threading.Event()

    def update():
        number = 0
        while not stop.is_set():
            number += 1
            run.update(number=number, text=str(number) * 20_000)

    writer = threading.Thread(target=update)
    writer.start()
    try:
        numbers = []
        # on a busy machine either of the two may have few turns
        while len(numbers) < 300 or numbers[-1] < 20:
            record = read_record(run.path)
            if "number" in record:
                assert record["text"] == str(record["number"]) * 20_000
                numbers.append(record["number"])
    finally:
        stop.set()
        writer.join()
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 1
    assert not list(run.path.glob("run.json?*"))


def test_a_write_that_fails_leaves_the_record_as_it_was(tmp_path, monkeypatch):
    run = create(tmp_path)
    before = read_record(run.path)

    def full(file):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("charlab.rows.os.fsync", full)
        with pytest.raises(CannotWrite, match="no space left"):
            run.update(status="finished")
    assert read_record(run.path) == before
    with pytest.raises(TypeError, match="not JSON serializable"):
        run.update(model=object())
    assert read_record(run.path) == before


def test_a_status_is_on_the_disk_with_its_name(tmp_path, monkeypatch):
    """Else a power cut could bring the old run.json back, though the new one's bytes are there."""
    run, done = create(tmp_path), []
    fsync, replace = os.fsync, Path.replace

    def synced(handle):
        done.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    def replaced(file, target):
        done.append("renamed")
        return replace(file, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    run.update(status="finished")
    assert done == ["run.json.new", "renamed", run.path.name]
    done.clear()
    run.update(number=1)
    assert done == ["renamed"]
