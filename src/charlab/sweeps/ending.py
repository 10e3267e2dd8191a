"""How a job ended, by its exit code and what its run directory says after it. Imports no torch."""

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import final

from charlab.claims import deciding
from charlab.errors import Interrupted
from charlab.found import Found
from charlab.runs import mark_ended
from charlab.sweeps.jobs import Ending, Job, Outcome

# what a process dies of by itself; SIGKILL and SIGTERM come from outside
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGBUS, signal.SIGFPE)


@final
class Outcomes(list[Outcome]):
    """The outcomes of the jobs that are over, in the order of the sweep.

    signal        what ended the sweep before its time, if anything did
    takes_pruned  whether jobs that were pruned are as good as over
    """

    signal: int | None = None
    takes_pruned = False

    @property
    def exit_code(self) -> int:
        """128 + N after signal N, 1 where a job failed or did not come to its end, else 0."""
        if self.signal is not None:
            return 128 + self.signal
        bad = {"failed", "interrupted"} | (set() if self.takes_pruned else {"pruned"})
        return int(any(outcome.ending in bad for outcome in self))

    @property
    def notes(self) -> list[str]:
        """What to know beside the scores: what may not be set side by side, what did not end."""
        num_pruned = sum(outcome.ending == "pruned" for outcome in self)
        told = "pruned by a search before; with --retry-failed they run to their end"
        return _unlike(self) + (
            [f"{num_pruned:,} {told}"] if num_pruned and not self.takes_pruned else []
        )


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
    is_cut_off = code == Interrupted.exit_code or code > 128
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


def _unlike(outcomes: Sequence[Outcome]) -> list[str]:
    """What changed between runs that were done at different times."""
    codes = {outcome.record["code"] for outcome in outcomes if outcome.record.get("code")}
    notes = ["the code of charlab changed between these runs"] if len(codes) > 1 else []
    fingerprints: dict[str, set[str]] = {}
    for outcome in outcomes:
        if outcome.record.get("data"):
            asked = json.dumps(outcome.job.config.get("data"), sort_keys=True)
            fingerprint = str(outcome.record["data"].get("fingerprint"))
            fingerprints.setdefault(asked, set()).add(fingerprint)
    if any(len(known) > 1 for known in fingerprints.values()):
        notes.append("the data changed between these runs")
    return notes
