"""A sweep of the real train.py on a cluster, typed as a user does."""

import json
import os
import time

import pytest

from .jobs import Job
from .running import rows
from .slurm_stand_in import SlurmStandIn


@pytest.mark.slow
def test_a_job_is_sent_back_into_the_queue_while_it_trains(tmp_path):
    cluster = SlurmStandIn(tmp_path / "cluster")
    job = Job(
        tmp_path / "sweep",
        "-m",
        "hydra/launcher=slurm",
        "hydra.launcher.cpus_per_task=1",
        "hydra.launcher.gpus_per_node=0",
        "model.hidden_size=8,16",
        "trainer.max_steps=600",
        PATH=f"{cluster.path}:{os.environ['PATH']}",
    )
    try:
        while not (running := [*job.runs.glob("*/gru-1xh16-*/metrics.jsonl")]):
            assert job.process.poll() is None, job.end()
            time.sleep(0.05)
        cluster.call("scancel", "--signal=USR2", "1_1")
        exit_code, out, err = job.end()
    finally:
        cluster.end()
    assert exit_code == 0, (out, err)
    assert "jobs: 2 finished" in out
    found = sorted(job.runs.glob("*/gru-*/run.json"))
    assert [json.loads(file.read_text())["status"] for file in found] == ["finished"] * 2
    steps = [row["step"] for row in rows(running[0]) if "train/loss" in row]
    assert steps == sorted(set(steps))
    (log,) = job.runs.glob("*/logs/slurm/1_1_*.out")
    assert "requeue 1 of 20" in log.read_text()
