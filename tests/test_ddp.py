"""The real train.py in two processes: one run, the sums of one process, one end for both."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import torch

from charlab import cli

from .running import ROOT, TINY, rows, train, write_names

# train.py with something wrong, which each of its ranks finds here: the launcher repeats this
# command line. Rank 1 fails in the way of $SPOILT at its 13th step.
SPOILT = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from charlab.config.entry import run
from train import train

def spoil():
    from charlab.lit import CharLitModule

    whole = CharLitModule.training_step

    def training_step(self, batch, batch_idx):
        if self.global_step == 12 and os.environ["RANK"] == "1":
            if os.environ["SPOILT"] == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("spoilt")
        return whole(self, batch, batch_idx)

    CharLitModule.training_step = training_step

if "RANK" in os.environ:
    spoil()
run(train, {str(ROOT / "train.py")!r})
"""


class Job:
    """A command line like train.py's in a process of its own, and all processes that it starts."""

    def __init__(self, folder, *overrides, script=ROOT / "train.py", **env):
        if not (folder / "names.txt").exists():
            write_names(folder)
        self.runs = folder / "runs"
        self.mark = uuid.uuid4().hex
        paths = [f"paths.runs={self.runs}", f"paths.cache={folder / 'cache'}"]
        data = f"data.path={folder / 'names.txt'}"
        self.process = subprocess.Popen(
            [sys.executable, str(script), *TINY, *paths, data, *overrides],
            env={**os.environ, **env, "CHARLAB_TEST": self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            process_group=0,
        )

    def end(self):
        """(exit code, stdout, stderr)."""
        out, err = self.process.communicate(timeout=240)
        return self.process.returncode, out, err

    def left(self):
        """The processes of the job that run."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                ended = folder.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "Z"
                if not ended and self.mark.encode() in folder.joinpath("environ").read_bytes():
                    found.append(folder.name)
            except OSError:
                continue
        return found

    @property
    def run(self):
        (file,) = self.runs.glob("*/*/run.json")
        return file.parent

    def record(self):
        return json.loads((self.run / "run.json").read_text())

    def wait_until_it_trains(self):
        while not any("train/loss" in f.read_text() for f in self.runs.glob("*/*/metrics.jsonl")):
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)


def same(value, other):
    return value == pytest.approx(other, rel=1e-9, abs=1e-12)


# ------------------------------------------------------------------------------- a run that is well
EXACT = ("trainer.precision=64-true", "model.dropout=0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With an even number of names to train on: no rank has to see one twice."""
    folder = tmp_path_factory.mktemp("two")
    names = write_names(folder)
    names.write_text("".join(f"{line}\n" for line in names.read_text().split()[:300]))
    return folder


@pytest.fixture(scope="module")
def two(folder):
    """(run directory, stdout, stderr) of two processes, W&B offline."""
    home = {"HOME": str(folder), "NETRC": str(folder / "netrc"), "WANDB_API_KEY": ""}
    overrides = ("trainer=ddp", "logger.wandb.mode=offline", "logger.csv.enabled=true", "group=two")
    job = Job(folder, *overrides, *EXACT, **home)
    exit_code, out, err = job.end()
    assert exit_code == 0, err
    assert job.left() == []
    return job.run, out, err


@pytest.fixture(scope="module")
def one(folder, two):
    """The run directory of one process with the rows of both."""
    exit_code, run = train(folder, "data.batch_size=32", "group=one", *EXACT)
    assert exit_code == 0
    return run


def test_two_processes_are_one_run(two):
    run, out, err = two
    assert err == ""
    assert out.count("test score") == 1
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["num_processes"]) == ("finished", 2)
    assert record["wandb"]["mode"] == "offline"
    assert len(list(run.glob("wandb/offline-run-*"))) == 1
    assert len((run / "csv" / "metrics.csv").read_text().splitlines()) > 1
    assert record["samples"]["num_samples"] == 5000
    assert not list(run.glob("*.log"))


def test_each_row_is_there_once_and_that_of_one_process(two, one):
    metrics = [rows(run / "metrics.jsonl") for run in (two[0], one)]
    assert [row["step"] for row in metrics[0] if "train/loss" in row] == [5, 10, 15, 20, 25, 30]
    assert [row["step"] for row in metrics[0] if "val/bpc" in row] == [10, 20, 30]
    assert [row["step"] for row in metrics[0] if "test/bpc" in row] == [30]
    assert len(metrics[0]) == len(metrics[1])
    for ours, theirs in zip(*metrics):
        assert ours.keys() == theirs.keys()
        for name in ours.keys() - {"seconds", "perf/chars_per_s", "perf/step_ms"}:
            assert same(ours[name], theirs[name]), name


def test_scores_and_characters_are_sums_over_both(two, one):
    ours, theirs = (json.loads((run / "run.json").read_text()) for run in (two[0], one))
    assert same(ours["scores"], theirs["scores"])
    assert ours["chars_seen"] == theirs["chars_seen"]


@pytest.mark.parametrize("name", ["best", "last"])
def test_weights_are_those_of_one_process_with_all_rows(two, one, name):
    """Over almost four epochs: the gradient is that of all rows, clipped when it is whole."""
    ours, theirs = (
        torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True) for run in (two[0], one)
    )
    assert ours["global_step"] == theirs["global_step"]
    for key, value in theirs["state_dict"].items():
        torch.testing.assert_close(ours["state_dict"][key], value, rtol=0, atol=1e-9)
    assert same(ours["charlab"]["scores"], theirs["charlab"]["scores"])


# ------------------------------------------------------------------------------- a run that is not
def test_the_failure_of_another_rank_ends_the_run(tmp_path):
    script = tmp_path / "spoilt.py"
    script.write_text(SPOILT)
    job = Job(tmp_path, "trainer.devices=2", script=script, SPOILT="raise")
    exit_code, _, err = job.end()
    assert exit_code == 1
    assert err.startswith("rank 1 of 2 failed first: exit code 1\n")
    assert err.count("ValueError: spoilt") == 1
    assert "rank0" not in err
    record = job.record()
    assert (record["status"], record["error"]) == ("failed", "rank 1: ValueError: spoilt")
    assert "ValueError: spoilt" in (job.run / "rank-1.log").read_text()
    assert job.left() == []


LONG = ("trainer=ddp", "trainer.max_steps=1000000", "callbacks.samples.enabled=false")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_launcher_is_that_of_the_run(tmp_path, signum):
    job = Job(tmp_path, *LONG)
    job.wait_until_it_trains()
    assert len(job.left()) >= 3
    job.process.send_signal(signum)
    exit_code, _, err = job.end()
    assert exit_code == {signal.SIGTERM: 130, signal.SIGKILL: -signal.SIGKILL}[signum]
    give_up_s = time.monotonic() + 60
    while job.left() and time.monotonic() < give_up_s:
        time.sleep(0.1)
    assert job.left() == []
    record = job.record()
    assert (record["status"], record["error"]) == ("failed", "interrupted")
    assert err == f"error: interrupted; what there is stays in {job.run}\n"


# ------------------------------------------------------------------------------------- mistakes
def test_a_mistake_is_told_once_and_before_torch(tmp_path):
    began_s = time.monotonic()
    job = Job(tmp_path, "trainer=ddp", "trainer.max_step=3")
    exit_code, out, err = job.end()
    assert (exit_code, out) == (2, "")
    assert err.count("trainer.max_step") >= 1
    assert err.count("error: ") == 1
    assert time.monotonic() - began_s < 20  # 1.5 s on a machine that does nothing else


@pytest.mark.slow
def test_a_mistake_that_all_ranks_would_make_is_told_once(tmp_path):
    job = Job(tmp_path, "trainer=ddp", "trainer.precision=16-mixed", "trainer.accelerator=cpu")
    exit_code, out, err = job.end()
    assert (exit_code, out) == (2, "")
    assert err.startswith("error: trainer.precision=16-mixed needs a GPU\n")
    assert err.count("16-mixed needs a GPU") == 1
    assert not job.runs.exists()


@pytest.mark.slow
def test_divergence_is_met_by_all_and_told_once(tmp_path):
    job = Job(tmp_path, "trainer=ddp", "optimizer.lr=1e30", "trainer.gradient_clip=0")
    exit_code, _, err = job.end()
    assert exit_code == 3
    assert err.count("training diverged") == 1
    assert err.startswith("error: ")
    assert job.record()["error"].startswith("TrainingDiverged")


@pytest.mark.slow
def test_a_rank_that_is_killed_ends_the_run(tmp_path):
    script = tmp_path / "spoilt.py"
    script.write_text(SPOILT)
    job = Job(tmp_path, "trainer=ddp", script=script, SPOILT="kill")
    exit_code, _, err = job.end()
    assert exit_code == 137
    assert err == "rank 1 of 2 failed first: killed by SIGKILL\n"
    assert job.record()["error"] == "rank 1: killed by SIGKILL"
    assert job.left() == []


@pytest.mark.slow
def test_early_stopping_stops_all(tmp_path):
    patience = ("callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=50")
    job = Job(tmp_path, "trainer=ddp", "callbacks.early_stopping.enabled=true", *patience)
    assert job.end()[0] == 0
    validated = [row["step"] for row in rows(job.run / "metrics.jsonl") if "val/bpc" in row]
    assert validated == [10, 20]


@pytest.mark.slow
def test_a_sweep_over_the_number_of_processes(tmp_path):
    job = Job(tmp_path, "-m", "trainer=ddp", "trainer.devices=1,2", "trainer.accelerator=cpu")
    exit_code, out, err = job.end()
    assert exit_code == 0, err
    assert out.count("test score") == 2
    records = [json.loads(file.read_text()) for file in job.runs.glob("*/*/run.json")]
    assert sorted(record["num_processes"] for record in records) == [1, 2]
    assert {record["status"] for record in records} == {"finished"}
    by_size = {record["num_processes"]: record["chars_seen"] for record in records}
    assert by_size[2] == pytest.approx(2 * by_size[1], rel=0.1)


@pytest.mark.slow
def test_processes_that_cannot_share_evenly_score_each_name_once(tmp_path, capsys):
    """30 names in batches of 16 for 4 processes, and 241 to train on."""
    job = Job(tmp_path, "trainer=ddp", "trainer.devices=4", *EXACT)
    assert job.end()[0] == 0
    assert cli.run(["eval", str(job.run), "--json", "--split=val"]) == 0
    told = json.loads(capsys.readouterr().out)
    for name in ("val/bpc", "val/nats_per_name"):  # there in float32
        assert told[name] == pytest.approx(job.record()["scores"][name], rel=1e-6)
