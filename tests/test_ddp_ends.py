"""How a run in two processes ends when it does not go well: for both, and told once."""

import signal
import time

import pytest

from .jobs import Job
from .running import ROOT

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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "signum", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)]
)
def test_the_end_of_the_launcher_is_that_of_the_run(tmp_path, signum):
    job = Job(tmp_path, *LONG)
    job.wait_until_it_trains()
    assert len(job.running()) >= 3
    job.process.send_signal(signum)
    exit_code, _, err = job.end()
    assert exit_code == {signal.SIGTERM: 130, signal.SIGKILL: -signal.SIGKILL}[signum]
    assert job.left() == []
    record = job.record()
    assert (record["status"], record["error"]) == ("preempted", "interrupted")
    assert err == f"error: interrupted; to go on: charlab resume {job.run}\n"


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
