"""A sweep runs each job in a process of its own, in turn, and lets none spoil the others."""

import json
import signal
import subprocess
import sys

import pytest

from charlab.config.compose import Composer
from charlab.config.multirun import run_jobs

SCRIPT = """
import json, os
from charlab.config.entry import run

def job(config, overrides):
    seen = {"pid": os.getpid(), "overrides": list(overrides), "seed": config.seed,
            "prompts": list(config.callbacks.samples.prompts), "size": config.model.hidden_size}
    print("JOB", json.dumps(seen), flush=True)

run(job, __file__)
"""

# Stands for train.py where only its exit code matters; the override says what to do.
STUB = """
import os, signal, sys, time
action = sys.argv[1].partition("=")[2]
print("ran", action, flush=True)
if action == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if action == "sleep":
    try:
        print("asleep", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        action = 7
sys.exit(int(action))
"""


def test_jobs_in_turn_each_in_a_process_of_its_own(conf_copy):
    folder = conf_copy.parent
    (folder / "train.py").write_text(SCRIPT)
    (folder / "extra" / "experiment").mkdir(parents=True)
    (folder / "extra" / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 8\n")
    (conf_copy / "other.yaml").write_text((conf_copy / "config.yaml").read_text() + "seed: 7\n")
    before = set(folder.rglob("*"))

    argv = ["-cn", "other", "--config-dir", "extra", "experiment=mine,names_gru", "-m"]
    prompts = """["", " Trump", "a,b='c'"]"""
    argv += ["model.hidden_size=9", f"callbacks.samples.prompts={prompts}"]
    result = subprocess.run(
        [sys.executable, "train.py", *argv], capture_output=True, text=True, cwd=folder, timeout=60
    )

    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("[1/2] experiment=mine model.hidden_size=9 ")
    assert lines[2].startswith("[2/2] experiment=names_gru model.hidden_size=9 ")
    jobs = [json.loads(line.removeprefix("JOB ")) for line in (lines[1], lines[3])]
    assert [(job["seed"], job["size"]) for job in jobs] == [(8, 9), (7, 9)]
    assert all(job["prompts"] == ["", " Trump", "a,b='c'"] for job in jobs)
    assert jobs[0]["pid"] != jobs[1]["pid"]
    assert set(folder.rglob("*")) == before  # Hydra has written nothing


def test_a_failed_job_does_not_stop_the_rest(capfd):
    jobs = [["do=0"], ["do=3"], ["do=kill"], ["do=0"]]
    assert run_jobs([sys.executable, "-c", STUB], jobs) == 3
    out, err = capfd.readouterr()
    assert out.count("ran") == 4
    assert err.splitlines() == [
        "",
        "2 of 4 jobs failed:",
        "  [2/4] do=3  (exit code 3)",
        "  [3/4] do=kill  (exit code 137)",
    ]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_job_and_the_sweep(signum):
    sweep = f"""
import sys
from charlab.config.multirun import run_jobs
sys.exit(run_jobs([sys.executable, "-c", {STUB!r}], [["do=sleep"], ["do=0"]]))
"""
    process = subprocess.Popen([sys.executable, "-c", sweep], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while process.stdout.readline() != "asleep\n":
        pass
    process.send_signal(signum)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signum
    assert rest == ("interrupted\n" if signum == signal.SIGINT else "")


def test_a_sweep_in_a_file(conf_copy):
    (conf_copy / "experiment" / "sizes.yaml").write_text(
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      model.hidden_size: 8,9\n"
    )
    jobs = Composer(conf_copy, "config", None).jobs(["experiment=sizes", "model=gru,lstm"])
    assert jobs == [
        [f"model.hidden_size={size}", "experiment=sizes", f"model={model}"]
        for size in (8, 9)
        for model in ("gru", "lstm")
    ]


def test_the_values_of_a_sweep(root):
    sweeps = {
        "model=glob(custom_*)": ["custom_gru", "custom_lstm", "custom_rnn"],
        "seed=range(0,6,2)": ["0", "2", "4"],
        "group='a b','c,d'": ["'a b'", "'c,d'"],
        "data.path=null": ["null"],
        "callbacks.samples.prompts=[a],[b,' c']": ["[a]", "[b,' c']"],
    }
    for override, values in sweeps.items():
        name = override.partition("=")[0]
        jobs = Composer(root / "conf", "config", None).jobs([override])
        assert jobs == [[f"{name}={value}"] for value in values]
