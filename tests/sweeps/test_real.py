"""Sweeps of the real train.py, at tiny size: the runs are those that single commands make."""

import json
import time
from pathlib import Path

import pytest

from ..jobs import Job
from ..running import rows, train


def runs(folder):
    """Name, status, scores and rows of metrics, all but times, of each run."""
    found = {}
    for file in folder.glob("runs/*/*/run.json"):
        record = json.loads(file.read_text())
        file_of_rows = file.parent / "metrics.jsonl"  # which a run cut at its start has not
        metrics = rows(file_of_rows) if file_of_rows.exists() else []
        for row in metrics:
            for name in list(row):
                if name == "seconds" or name.startswith("perf/"):
                    del row[name]
        found[file.parent.name] = (record["status"], record.get("scores"), metrics)
    return found


@pytest.mark.slow
def test_a_sweep_makes_the_runs_that_single_commands_make(tmp_path):
    folder = tmp_path / "swept"
    sweep = Job(folder, "-m", "model.hidden_size=8,12", "hydra.launcher.workers=2")
    exit_code, out, err = sweep.end()
    assert (exit_code, err) == (0, ""), out
    for size in (8, 12):
        assert train(tmp_path, f"model.hidden_size={size}", f"data.path={folder}/names.txt")[0] == 0
    # a path is part of what a run is called, so all three name the same file
    assert runs(tmp_path / "swept") == runs(tmp_path)
    # again: nothing to do, in seconds
    exit_code, out, _ = Job(folder, "-m", "model.hidden_size=8,12").end()
    assert exit_code == 0
    assert "2 finished before" in out and "started" not in out


@pytest.mark.slow
def test_a_sweep_that_is_killed_goes_on_to_the_same_runs(tmp_path):
    words = ("-m", "model.hidden_size=8,12", "trainer.max_steps=400")
    sweep = Job(tmp_path / "cut", *words, "hydra.launcher.workers=2")
    sweep.wait_until_it_trains(num_runs=2)
    sweep.process.kill()
    sweep.process.communicate()
    assert sweep.left() == []  # they notice, save and end
    statuses = {status for status, _, _ in runs(tmp_path / "cut").values()}
    assert "preempted" in statuses and "running" not in statuses
    exit_code, out, err = Job(tmp_path / "cut", *words).end()
    assert (exit_code, err) == (0, ""), out
    data = f"data.path={tmp_path / 'cut' / 'names.txt'}"
    assert train(tmp_path, "model.hidden_size=8", "trainer.max_steps=400", data)[0] == 0
    whole, cut = runs(tmp_path), runs(tmp_path / "cut")
    assert len(cut) == 2
    ((name, run),) = whole.items()
    assert cut[name] == run


@pytest.mark.slow
def test_jobs_on_several_devices_in_a_sweep(tmp_path):
    """Each starts its own processes, and they end with a sweep that is killed."""
    ddp = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=8")
    sweep = Job(tmp_path, "-m", "seed=0,1", "trainer.max_steps=300", *ddp)
    second: list[Path] = []
    while not any("train/loss" in file.read_text() for file in second):
        assert sweep.process.poll() is None, sweep.process.communicate()
        time.sleep(0.1)
        second = list(tmp_path.glob("runs/*/*-s1-*/metrics.jsonl"))
    sweep.process.kill()
    sweep.process.communicate()
    assert sweep.left() == []
    files = sorted(tmp_path.glob("runs/*/*/run.json"))
    first, cut = [json.loads(file.read_text()) for file in files]
    assert (first["status"], first["num_processes"]) == ("finished", 2)
    assert (cut["status"], cut["num_processes"]) == ("preempted", 2)
