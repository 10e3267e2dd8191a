"""Sweep files under W&B's own agents, against a stand-in for its server."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from .running import ROOT, TINY, rows, write_names
from .wandb_server import ENTITY, WandbServer

WANDB = Path(sys.executable).with_name("wandb")


@pytest.fixture
def server():
    with WandbServer() as server:
        yield server


def fixed(tmp_path):
    """Parameters that make each job of a sweep small and keep it in the test's folder."""
    options = dict(option.split("=") for option in (*TINY, "trainer.max_steps=4"))
    del options["logger.wandb.mode"]
    del options["model.hidden_size"]
    options |= {
        "data.path": str(write_names(tmp_path)),
        "paths.runs": str(tmp_path / "runs"),
        "paths.cache": str(tmp_path / "cache"),
    }
    return {name: {"value": yaml.safe_load(value)} for name, value in options.items()}


def shipped(name, tmp_path, **changes):
    """A copy of a sweep file with small jobs."""
    sweep = yaml.safe_load((ROOT / "sweeps" / name).read_text())
    sweep["parameters"] |= fixed(tmp_path) | changes
    copy = tmp_path / name
    copy.write_text(yaml.safe_dump(sweep, sort_keys=False))
    return copy


def environment(server, tmp_path):
    """A shell's in which charlab is installed, and W&B never used before."""
    path = f"{WANDB.parent}:{os.environ['PATH']}"
    home = {"HOME": str(tmp_path), "WANDB_DIR": str(tmp_path)}
    return {**os.environ, **server.env, **home, "PATH": path}


def begin(server, tmp_path, file):
    """`wandb sweep FILE`, and the command that it says to type next."""
    done = subprocess.run(
        [WANDB, "sweep", file],
        env=environment(server, tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said = re.search(r"wandb agent (\S+)", re.sub(r"\x1b\[\d*m", "", done.stderr))
    assert said is not None, done.stderr
    return said[1]


def run_agents(server, tmp_path, sweep, count):
    agents = [
        subprocess.Popen(
            [WANDB, "agent", sweep],
            env=environment(server, tmp_path),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(count)
    ]
    try:
        said = [agent.communicate(timeout=240)[0] for agent in agents]
    finally:
        for agent in agents:
            agent.kill()
    return [(agent.returncode, text) for agent, text in zip(agents, said)]


def records(tmp_path):
    """run.json of each run directory, by the W&B id in it."""
    files = (tmp_path / "runs").glob("*/*/run.json")
    found = [(file.parent, json.loads(file.read_text())) for file in files]
    assert len({record["wandb"]["id"] for _, record in found}) == len(found)
    return {record["wandb"]["id"]: (path, record) for path, record in found}


def scores_by_step(found, step):
    return {row[step]: row["val/bpc"] for row in found if "val/bpc" in row}


def check_finished(run, path, record):
    """The run on the server is the one of the directory: once, whole, and ended well."""
    assert (run.state, run.exit_code) == ("finished", 0)
    assert record["status"] == "finished"
    assert (run.id, run.name, run.group) == (record["wandb"]["id"], path.name, path.parent.name)
    config = yaml.safe_load((path / "config.yaml").read_text())
    assert {name: run.config[name] for name in config} == config
    assert run.summary["test/bpc"] == record["scores"]["test/bpc"]
    local = scores_by_step(rows(path / "metrics.jsonl"), "step")
    assert scores_by_step(run.history, "trainer/global_step") == local != {}
    assert any(name.startswith("media/table/samples") for name in run.files)


@pytest.mark.slow
def test_each_job_is_one_run_and_one_that_fails_is_seen_as_failed(server, tmp_path):
    file = shipped(
        "hidden_size_names.yaml",
        tmp_path,
        **{"model.hidden_size": {"value": 8}, "optimizer.lr": {"values": [1e30, 0.005]}},
    )
    sweep = begin(server, tmp_path, file)
    assert sweep.startswith(f"{ENTITY}/")
    ((_, said),) = run_agents(server, tmp_path, sweep, 1)
    (on_server,) = server.sweeps.values()
    assert server.runs.keys() == on_server.dealt.keys(), "a run for each job, and no other"
    runs = {run.config["optimizer"]["lr"]: run for run in server.runs.values()}
    assert (runs[1e30].state, runs[1e30].exit_code) == ("failed", 1), said
    kept = records(tmp_path)
    assert kept.keys() == server.runs.keys(), "a run directory for each"
    assert kept[runs[1e30].id][1]["status"] == "failed"
    good = runs[0.005]
    check_finished(good, *kept[good.id])
    assert (good.project, good.sweep) == (on_server.project, on_server.id)
    assert good.config["model"]["hidden_size"] == 8
    assert good.config["group"] == "hidden_size_names"


@pytest.mark.slow
def test_two_agents_share_the_jobs_of_a_shipped_file(server, tmp_path):
    sweep = begin(server, tmp_path, shipped("hidden_size_names.yaml", tmp_path))
    ended = run_agents(server, tmp_path, sweep, 2)
    assert [code for code, _ in ended] == [0, 0], ended
    (on_server,) = server.sweeps.values()
    assert on_server.jobs == []
    assert len({agent for (agent,) in on_server.dealt.values()}) == 2, "each agent had some"
    sizes = sorted(run.config["model"]["hidden_size"] for run in server.runs.values())
    assert sizes == [128, 300, 512]
    kept = records(tmp_path)
    assert kept.keys() == server.runs.keys() == on_server.dealt.keys()
    for run in server.runs.values():
        assert run.starts == 1
        check_finished(run, *kept[run.id])


@pytest.mark.slow
def test_a_preempted_job_goes_on_as_the_same_run(server, tmp_path):
    small = {"model.hidden_size": {"value": 8}, "trainer.max_steps": {"value": 2000}}
    sweep = begin(server, tmp_path, shipped("hidden_size_names.yaml", tmp_path, **small))

    def preempt():
        while not (found := [*tmp_path.glob("runs/*/*/metrics.jsonl")]) or not scores_by_step(
            rows(found[0]), "step"
        ):
            time.sleep(0.1)
        claim = json.loads(found[0].with_name("claim.json").read_text())
        os.kill(claim["pid"], signal.SIGUSR2)

    with ThreadPoolExecutor() as pool:
        done = pool.submit(preempt)
        ((_, said),) = run_agents(server, tmp_path, sweep, 1)
        done.result()
    (on_server,) = server.sweeps.values()
    ((run_id, agents),) = on_server.dealt.items()
    assert len(agents) == 2, said
    run = server.runs[run_id]
    assert run.starts == 2
    check_finished(run, *records(tmp_path)[run_id])
