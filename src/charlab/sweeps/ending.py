"""How a job ended, by its exit code and what its run directory says after it. Imports no torch."""

import signal
from pathlib import Path
from typing import final

from charlab.claims import deciding
from charlab.runs import Found, mark_ended
from charlab.sweeps.jobs import Ending, Job, Outcome

# exit code of `train.py --once` that stopped for a signal, to go on later
STOPPED = 130
# what a process dies of by itself; SIGKILL and SIGTERM come from outside
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGBUS, signal.SIGFPE)


@final
class Outcomes(list[Outcome]):
    """The outcomes of the jobs that are over, in the order of the sweep.

    signal        what ended the sweep before its time, if anything did
    takes_pruned  whether jobs that were stopped early are as good as over
    """

    signal: int | None = None
    takes_pruned = False


def ending_of(code: int, found: Found | None, failed_before: Path | None) -> Ending:
    """For an attempt that was not stopped by the sweep.

    found          the run of the job after the attempt
    failed_before  one that had failed before it, and says nothing of it
    """
    if found is not None and found.state == "finished":
        return "finished"
    if found is not None and found.state == "failed" and found.path != failed_before:
        return "failed"
    # also a signal that nobody but the job has had: it was killed for its memory, say
    is_cut_off = code == STOPPED or code > 128
    return "interrupted" if is_cut_off and crash_of(code) is None else "failed"


def crash_of(code: int) -> signal.Signals | None:
    """The signal of its own making that a process died of, if it did."""
    return next((signum for signum in CRASHES if code == 128 + signum), None)


def marked_crash(job: Job, signum: signal.Signals) -> Found | None:
    """The job's run; where it still says that it runs, it says now that it has failed, and why.

    Else each sweep would go on with it, to the same end.
    """
    with deciding(job.folder):  # no other process takes it meanwhile
        found = job.find()
        if found is None or found.state != "interrupted" or found.record["status"] != "running":
            return found
        mark_ended(found.path, "failed", f"killed by {signum.name}")
        return job.find()


def failed_run(job: Job) -> Path | None:
    """The run of the job, if it has failed."""
    found = job.find()
    return found.path if found is not None and found.state == "failed" else None


def counts_as_failed(ending: Ending, *, takes_pruned: bool) -> bool:
    """Whether a job that ended so makes the exit code 1."""
    return ending in ("failed", "interrupted") or (ending == "pruned" and not takes_pruned)
