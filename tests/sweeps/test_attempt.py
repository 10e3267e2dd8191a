"""One process of a job: what it gets from the process around it."""

import sys
import time

from charlab.processes import Processes
from charlab.sweeps.attempt import Attempt

from .making import job_of


def test_a_job_is_no_part_of_the_wandb_run_around_it(tmp_path, monkeypatch):
    """Under an agent of W&B's all jobs of a sweep would be one run."""
    monkeypatch.setenv("WANDB_RUN_ID", "abcd1234")
    monkeypatch.setenv("WANDB_PROJECT", "kept")
    code = "import os; print(*sorted(n for n in os.environ if n.startswith('WANDB')))"
    with Processes().passing_signals() as processes:
        attempt = Attempt(job_of(tmp_path, 0), [sys.executable, "-c", code], {}, [], processes)
        while attempt.poll() is None:
            time.sleep(0.01)
        attempt.close()
    (line,) = attempt.tail()
    assert "WANDB_PROJECT" in line
    assert "WANDB_RUN_ID" not in line
