"""W&B with a server: what it is told of jobs that finish, are killed, go on, or lose the server."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import yaml

from .jobs import Job
from .running import ROOT, rows
from .wandb_files import wandb_files
from .wandb_server import WandbServer

STEP, CHARS_SEEN, SECONDS = "trainer/global_step", "progress/chars_seen", "progress/seconds"
LONG = ("trainer.max_steps=2500", "trainer.max_epochs=null", "trainer.val_every_n_steps=1000")
# at most so much of a job's time may be W&B's, whatever the server does
MAX_SPENT_S = 15.0
# rows that kill -9 may cost, in seconds of the run
MAX_LOST_S = 5.0


@pytest.fixture
def server():
    with WandbServer() as server:
        yield server


def start(folder, server, *overrides, **env):
    home = {"HOME": str(folder), "NETRC": str(folder / "netrc"), "TIMED": str(folder / "timed")}
    return Job(
        folder,
        "logger.wandb.mode=auto",
        *overrides,
        script=ROOT / "tests" / "timed_train.py",
        **server.env,
        **home,
        **env,
    )


def wait_for_step(job, step):
    """Until a row of metrics.jsonl has come so far."""
    while not any(
        row["step"] >= step
        for file in job.runs.glob("*/*/metrics.jsonl")
        for row in rows(file)
        if "train/loss" in row
    ):
        assert job.process.poll() is None, job.process.communicate()
        time.sleep(0.05)


def scores_by_step(found, step):
    return {row[step]: row["val/bpc"] for row in found if "val/bpc" in row}


def check_whole(run, path):
    """The run on the server is that of the directory: once, and to its end."""
    record = json.loads((path / "run.json").read_text())
    assert (run.state, run.exit_code, record["status"]) == ("finished", 0, "finished")
    assert (run.id, run.name) == (record["wandb"]["id"], path.name)
    assert (run.group, run.job_type, run.project) == (path.parent.name, "train", "charlab")
    config = yaml.safe_load((path / "config.yaml").read_text())
    assert {name: run.config[name] for name in config} == config
    assert run.config["record"]["config_hash"] == record["config_hash"]
    assert all(row.keys() >= {STEP, CHARS_SEEN, SECONDS} for row in run.history)
    local = rows(path / "metrics.jsonl")
    assert scores_by_step(run.history, STEP) == scores_by_step(local, "step") != {}
    assert run.summary["best/test/bpc"] == record["scores"]["test/bpc"]
    assert run.summary["best/val/bpc"] == record["scores"]["val/bpc"]
    assert run.summary["final/step"] == local[-1]["step"]


@pytest.mark.parametrize("seeds", ["0", pytest.param("0,1", marks=pytest.mark.slow)])
def test_each_job_of_a_multirun_is_one_run_with_all_that_was_asked_for(tmp_path, server, seeds):
    job = start(
        tmp_path,
        server,
        "-m",
        f"seed={seeds}",
        "hydra.launcher.workers=2",
        "group=two",
        "logger.wandb.tags=[a]",
        "logger.wandb.checkpoint=true",
        "logger.wandb.histograms=all",
        "logger.wandb.histograms_every_n_steps=10",
    )
    code, out, err = job.end()
    assert code == 0, out + err
    paths = {path.parent.name: path.parent for path in job.runs.glob("two/*/run.json")}
    assert sorted(run.name for run in server.runs.values()) == sorted(paths)
    assert len(paths) == len(seeds.split(","))
    for run in server.runs.values():
        path = paths[run.name]
        check_whole(run, path)
        assert (run.starts, run.tags) == (1, ["a"])
        check_sent_files(server, run, path)
    assert server.unknown == set()


def check_sent_files(server, run, path):
    tables = [row["samples"]["path"] for row in run.history if "samples" in row]
    assert len(tables) == 4
    drawn = [
        row[3] for table in tables for row in json.loads(run.files[table])["data"]
    ]  # step by step: prompt, temperature, ...
    assert len(drawn) == len(rows(path / "samples.jsonl"))
    images = [row for row in run.history if any(name.startswith("plots/") for name in row)]
    for image in (value for row in images for value in row.values() if isinstance(value, dict)):
        assert run.files[image["path"]].startswith(b"\x89PNG")
    kinds = {"gradients/head.bias", "parameters/head.bias"}
    assert [row[STEP] for row in run.history if row.keys() >= kinds] == [10, 20, 30]
    (model,) = (
        one for one in server.artifacts.values() if (one.run, one.type) == (run.id, "model")
    )
    assert model.is_committed
    assert model.files["best.ckpt"] == (path / "checkpoints" / "best.ckpt").read_bytes()
    assert model.metadata["config_hash"] == run.config["record"]["config_hash"]


@pytest.mark.slow
def test_one_that_is_stopped_and_killed_goes_on_as_the_same_run(tmp_path, server):
    options = (*LONG, "callbacks.samples.every_n_steps=1000")

    job = start(tmp_path, server, *options)
    wait_for_step(job, 20)
    job.process.send_signal(signal.SIGTERM)
    assert job.end()[0] == 130
    (run,) = server.runs.values()
    assert (run.state, run.preempting) == ("preempted", True)
    assert run.id == job.record()["wandb"]["id"]
    stopped_at = run.history[-1][STEP]

    job = start(tmp_path, server, *options)
    wait_for_step(job, stopped_at + 20)
    assert run.state == "running"
    time.sleep(2.5)
    job.process.kill()
    killed_at_s = rows(job.run / "metrics.jsonl")[-1]["seconds"]
    job.end()
    assert job.left() == [], "W&B's process has ended too"
    assert run.state == "running", "nobody has told it of an end"
    assert run.exit_code is None
    server.give_up_on_silent_runs()
    assert run.state == "crashed"
    kept = wandb_files(job.run)[-1]
    assert kept.exit_code is None
    assert killed_at_s - kept.history[-1][SECONDS] <= MAX_LOST_S
    # on its way to the server they are in batches of 2 s
    assert killed_at_s - run.history[-1][SECONDS] <= MAX_LOST_S + 1.5

    code, out, err = start(tmp_path, server, *options).end()
    assert code == 0, out + err
    assert list(server.runs) == [run.id]
    assert run.starts == 3
    check_whole(run, job.run)
    # none is missing, but those that the kill cost; what was done again has come again
    steps = {row[STEP] for row in run.history}
    local = {row["step"] for row in rows(job.run / "metrics.jsonl")}
    assert steps == local
    assert server.unknown == set()


def refuses_at_start(job_of, server):
    server.die()
    return job_of()


def hangs_at_start(job_of, server):
    server.hang()
    return job_of()


def dies_on_the_way(job_of, server):
    job = job_of()
    wait_for_step(job, 20)
    server.die()
    return job


def hangs_on_the_way(job_of, server):
    job = job_of()
    wait_for_step(job, 20)
    server.hang()
    return job


def hangs_before_the_end(job_of, server):
    job = job_of()
    while not any("test/bpc" in file.read_text() for file in job.runs.glob("*/*/metrics.jsonl")):
        assert job.process.poll() is None, job.process.communicate()
        time.sleep(0.02)
    server.hang()
    return job


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(refuses_at_start, marks=pytest.mark.slow),
        pytest.param(hangs_at_start, marks=pytest.mark.slow),
        pytest.param(dies_on_the_way, marks=pytest.mark.slow),
        pytest.param(hangs_on_the_way, marks=pytest.mark.slow),
        pytest.param(hangs_before_the_end, marks=pytest.mark.slow),
    ],
    ids=lambda what: what.__name__,
)
def test_a_server_that(tmp_path, server, what):
    """It neither stops nor delays the run, which can be sent later."""
    options = ["trainer.max_steps=300", "trainer.max_epochs=null", "logger.wandb.checkpoint=true"]
    if what is refuses_at_start:
        options += ["trainer.max_steps=60", "logger.wandb.timeout_s=2"]
    job = what(lambda: start(tmp_path, server, *options, "trainer.val_every_n_steps=50"), server)
    code, out, err = job.end()
    assert code == 0, err
    assert "Traceback" not in err
    assert job.left() == []
    spent_s = json.loads((tmp_path / "timed").read_text())
    assert sum(spent_s.values()) < MAX_SPENT_S, spent_s
    record = job.record()
    assert record["status"] == "finished"
    assert "test/bpc" in record["scores"]
    assert (job.run / "checkpoints" / "best.ckpt").exists()
    is_online = what not in (refuses_at_start, hangs_at_start)
    assert record["wandb"]["mode"] == ("online" if is_online else "offline")
    assert ("the server did not answer" in out.replace("\n", " ")) == (not is_online)
    assert all(run.state == "running" for run in server.runs.values())
    (kept,) = wandb_files(job.run)
    local = rows(job.run / "metrics.jsonl")
    assert scores_by_step(kept.history, STEP) == scores_by_step(local, "step")
    assert kept.summary["best/test/bpc"] == record["scores"]["test/bpc"]


@pytest.mark.slow
def test_a_run_outlives_the_process_of_wandb(tmp_path, server):
    job = start(tmp_path, server, "trainer.max_steps=300", "trainer.max_epochs=null")
    wait_for_step(job, 20)
    for process in job.running():
        if "wandb-core" in Path(f"/proc/{process}/cmdline").read_text():
            os.kill(int(process), signal.SIGKILL)
    code, _, err = job.end()
    assert code == 0, err
    assert job.record()["status"] == "finished"
    assert err.count("note: W&B") == 1
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_run_goes_on_without_the_server_that_it_began_with(tmp_path, server):
    """Offline, with the same id, and stays so when the server is back."""
    options = ("trainer.max_steps=1500", "trainer.max_epochs=null", "logger.wandb.timeout_s=2")
    job = start(tmp_path, server, *options)
    wait_for_step(job, 50)
    job.process.send_signal(signal.SIGTERM)
    assert job.end()[0] == 130
    before = job.record()["wandb"]
    assert before["mode"] == "online"
    server.hang()
    code, out, err = start(tmp_path, server, *options).end()
    assert code == 0, out + err
    assert job.record()["status"] == "finished"
    assert job.record()["wandb"] == {**before, "mode": "offline"}


@pytest.mark.slow
def test_a_job_of_two_processes_is_one_run(tmp_path, server):
    job = start(tmp_path, server, "trainer=ddp", "trainer.devices=2", "logger.wandb.histograms=all")
    code, out, err = job.end()
    assert code == 0, out + err
    (run,) = server.runs.values()
    assert run.starts == 1
    check_whole(run, job.run)
    assert run.config["record"]["num_processes"] == 2
