"""What runs on a node of a SLURM cluster: one job of a sweep, and its way back into the queue."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import final

from charlab.errors import Held, Interrupted
from charlab.processes import Processes

# Longer than the two minutes after which a run whose process died on another node is free: that
# may have been this very job, killed with its node and started again.
HELD_S = 150.0
# What SLURM sends before the time limit, and on clusters set up so (PreemptParameters=
# send_user_signal) before preemption. A plain SIGTERM is also what scancel sends.
REQUEUE_SIGNAL = signal.SIGUSR2
# how a command ends that it stopped: the second where it came before Python could listen
STOPPED = (Interrupted.exit_code, 128 + REQUEUE_SIGNAL)


@final
@dataclass(frozen=True)
class Task:
    """Runs `command`, a `train.py --once ...`, in a process of its own.

    Signals are passed on to it. A job that SIGUSR2 stopped goes back into the queue, where SLURM
    has started it again fewer than `max_requeues` times; one that SIGTERM stopped does not: it was
    cancelled, or SLURM itself starts it again. A run that another process holds is tried a second
    time after `held_s` seconds, then left to that process.
    """

    command: tuple[str, ...]
    max_requeues: int
    held_s: float = HELD_S

    def __call__(self) -> None:
        """Return where the job finished; raises SystemExit with its exit code where it did not."""
        told = exit_file(Path(os.environ["SUBMITIT_FOLDER"]), this_id())
        told.unlink(missing_ok=True)
        with Processes().passing_signals() as processes:
            exit_code = processes.run(self.command)
            if exit_code == Held.exit_code and _wait(self.held_s, processes):
                exit_code = processes.run(self.command)
            is_asked = REQUEUE_SIGNAL in processes.received
        new = told.with_name(f"{told.name}.new")
        new.write_text(f"{exit_code}\n")
        new.replace(told)  # nobody reads half of it
        if exit_code in STOPPED and is_asked:
            self._requeue()
        if exit_code != 0:
            sys.exit(exit_code)  # SLURM has it as the job's exit code too

    def _requeue(self) -> None:
        num_before = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        if num_before >= self.max_requeues:
            print(f"requeued {num_before} times already: the run stays as it was saved", flush=True)
            return
        print(f"requeue {num_before + 1} of {self.max_requeues}", flush=True)
        done = subprocess.run(["scontrol", "requeue", this_id()], capture_output=True, text=True)
        if done.returncode > 0:  # not where the requeue has ended scontrol too
            print(f"cannot requeue: {done.stderr.strip()}", file=sys.stderr, flush=True)


def this_id() -> str:
    """The id of the SLURM job that this process belongs to, as squeue shows it."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    # an element of an array has a plain id too, which for one of them is that of the whole array
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def exit_file(folder: Path, slurm_id: str) -> Path:
    """Where a task leaves the exit code of its command when it ends."""
    return folder / f"{slurm_id}.exit"


def _wait(seconds: float, processes: Processes) -> bool:
    """False where a signal came meanwhile."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s and processes.ended_by is None:
        time.sleep(0.5)
    return processes.ended_by is None
