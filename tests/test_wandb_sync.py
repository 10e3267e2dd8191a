"""`wandb sync` sends what was kept offline, also of a run that was killed and went on."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .jobs import Job
from .running import rows
from .wandb_files import wandb_files
from .wandb_server import WandbServer

WANDB = Path(sys.executable).with_name("wandb")
STEP, SECONDS = "trainer/global_step", "progress/seconds"
MAX_LOST_S = 5.0


@pytest.fixture
def server():
    with WandbServer() as server:
        yield server


@pytest.mark.slow
def test_the_parts_of_a_run_are_sent_as_one(tmp_path, server):
    home = {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc"), "WANDB_API_KEY": ""}
    options = (
        "logger.wandb.mode=auto",
        "logger.wandb.checkpoint=true",
        "trainer.max_steps=1500",
        "trainer.max_epochs=null",
        "trainer.val_every_n_steps=400",
        "callbacks.samples.every_n_steps=1000",
        "callbacks.checkpoint.every_s=1",
    )
    job = Job(tmp_path, *options, **home)
    job.wait_until_it_trains()
    time.sleep(3)
    job.process.kill()
    killed_at_s = rows(job.run / "metrics.jsonl")[-1]["seconds"]
    job.end()
    (first,) = wandb_files(job.run)
    assert first.exit_code is None, "it was killed, and does not say that it has ended"
    assert killed_at_s - first.history[-1][SECONDS] <= MAX_LOST_S

    job = Job(tmp_path, *options, **home)
    code, out, err = job.end()
    assert code == 0, out + err
    parts = wandb_files(job.run)
    assert [part.run.run_id for part in parts] == [job.record()["wandb"]["id"]] * 2
    assert parts[-1].exit_code == 0
    # what README says, in the folder above runs/
    done = subprocess.run(
        f"{WANDB} sync runs/*/*/wandb/offline-run-*",
        shell=True,
        cwd=tmp_path,
        env={**os.environ, **home, **server.env},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = server.runs.values()
    record = job.record()
    assert (run.id, run.name, run.state) == (record["wandb"]["id"], job.run.name, "finished")
    assert run.exit_code == 0
    local = rows(job.run / "metrics.jsonl")
    sent = {row[STEP]: row["val/bpc"] for row in run.history if "val/bpc" in row}
    assert sent == {row["step"]: row["val/bpc"] for row in local if "val/bpc" in row}
    # none is missing, but those that the kill cost: the run may go on from a step after them
    steps = {row[STEP] for row in run.history}
    lost = [row for row in local if row["step"] not in steps]
    assert all(abs(killed_at_s - row["seconds"]) <= MAX_LOST_S for row in lost)
    assert run.summary["best/test/bpc"] == record["scores"]["test/bpc"]
    (model,) = (one for one in server.artifacts.values() if one.type == "model")
    assert model.files["best.ckpt"] == (job.run / "checkpoints" / "best.ckpt").read_bytes()
    assert server.unknown == set()
