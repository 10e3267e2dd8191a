"""A sweep on a SLURM cluster: a SLURM job for each of its jobs, watched until all are over.

What became of a job is read from its run directory, which outlives the memory of SLURM; squeue says
whether it still can become anything. No accounting database (sacct) is needed. The run directories
have to be in a folder that all nodes share.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from rich.console import Console

from charlab.errors import Held, Interrupted, UsageError
from charlab.found import Found, State
from charlab.sweeps.ending import Outcomes
from charlab.sweeps.entry import Labels
from charlab.sweeps.jobs import Ending, Job, Outcome
from charlab.sweeps.slurm.queue import (
    Queued,
    SlurmOptions,
    check_slurm,
    log_folder,
    queued_before,
    states,
    submit,
)

__all__ = ["SlurmOptions", "run_slurm"]

POLL_S = 10.0
# Looks at the queue without a job until it counts as over, unless it says that it failed: what a
# node has written may show here a minute late.
PATIENCE = 7
OVER: dict[State, tuple[Ending, int]] = {
    "finished": ("finished", 0),
    "failed": ("failed", 1),
    "pruned": ("pruned", 1),
    "interrupted": ("interrupted", Interrupted.exit_code),
}


def run_slurm(
    jobs: Sequence[Job],
    command: Sequence[str],
    options: SlurmOptions,
    console: Console,
    retry_failed: bool,
    poll_s: float = POLL_S,
) -> Outcomes:
    """Submit `command --once OVERRIDES` for each job, show what becomes of them, return it.

    Jobs that are over are not submitted, failed ones only with `retry_failed`; jobs that an earlier
    call submitted and that are still in the queue are watched, not submitted again. One whose run
    is held by a process elsewhere is waited for, and submitted again where that process dies.

    Raises UsageError where submitit or SLURM is missing, or SLURM does not take the jobs;
    Interrupted after Ctrl-C, which leaves what was submitted in the queue.
    """
    check_slurm()
    sweep = _Sweep(jobs, console, lambda some: submit(some, command, options, retry_failed))
    try:
        sweep.start(retry_failed)
        while sweep.waiting:
            time.sleep(poll_s)
            sweep.look()
    except KeyboardInterrupt:
        raise sweep.left() from None
    outcomes = Outcomes(sweep.outcomes[job.key] for job in jobs)
    sweep.conclude(outcomes)
    return outcomes


@final
@dataclass
class _Watched:
    """A job in the queue, or over and about to say how. shown: the state on the screen."""

    queued: Queued
    shown: str = ""
    num_missed: int = 0  # looks at the queue in a row that did not show it


@final
class _Sweep:
    """The jobs of one call of run_slurm."""

    def __init__(
        self,
        jobs: Sequence[Job],
        console: Console,
        submit_jobs: Callable[[Sequence[Job]], list[Queued]],
    ) -> None:
        self.jobs = {job.key: job for job in jobs}
        self.waiting: dict[str, _Watched] = {}
        self.outcomes: dict[str, Outcome] = {}
        self._labels = Labels(jobs)
        self._console = console
        self._submit = submit_jobs
        self._is_answered = True

    def start(self, retry_failed: bool) -> None:
        """Submit the jobs that need it."""
        queue = states()
        if queue is None:
            raise UsageError(
                "SLURM does not answer",
                expected="an answer of squeue",
                hint="squeue --me",
                option="hydra/launcher",
            )
        new, queued, done, given_up = [], [], [], []
        for job in self.jobs.values():
            found, before = job.find(), queued_before(job)
            if found is not None and found.state == "finished":
                done.append((job, found))
            elif before is not None and before.slurm_id in queue:
                queued.append(before)
            elif found is not None and found.state in ("failed", "pruned") and not retry_failed:
                given_up.append((job, found))
            else:
                new.append(job)
        self._add(new)
        self.waiting |= {one.job.key: _Watched(one) for one in queued}
        counts = {
            "submitted": len(new),
            "in the queue already": len(queued),
            "finished before": len(done),
            "failed before": sum(found.state == "failed" for _, found in given_up),
            "pruned before": sum(found.state == "pruned" for _, found in given_up),
        }
        text = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
        self._say(f"jobs: {text}")
        for job, found in done:
            self._over(job, "skipped", 0, found)
        for job, found in given_up:
            self._over(job, *OVER[found.state], found)
        for folder in sorted({log_folder(self.jobs[key]) for key in self.waiting}):
            self._say(f"logs in {folder}")

    def look(self) -> None:
        """Show what is new; jobs that are over get their outcome."""
        queue = states()
        self._say_whether_answered(queue is not None)
        again = []
        for watched in list(self.waiting.values()):
            job, found = watched.queued.job, watched.queued.job.find()
            state = None if queue is None else queue.get(watched.queued.slurm_id)
            is_gone = queue is not None and state is None
            watched.num_missed = watched.num_missed + 1 if is_gone else 0
            if found is not None and found.state == "finished":
                self._over(job, "finished", 0, found)
            elif state is not None:
                self._show(watched, state)
            elif watched.num_missed < (2 if watched.queued.exit_code else PATIENCE):
                continue
            elif found is not None and found.state == "running":
                self._show(watched, "elsewhere")
            else:
                exit_code = watched.queued.exit_code
                if exit_code != Held.exit_code:
                    # without a log it was cancelled before it started
                    no_run: State = "failed" if watched.queued.log.exists() else "interrupted"
                    ending, usual = OVER[no_run if found is None else found.state]
                    self._over(job, ending, exit_code or usual, found)
                elif found is None or found.state == "interrupted":
                    again.append(job)
                else:
                    self._over(job, *OVER[found.state], found)
        self._add(again)

    def conclude(self, outcomes: Outcomes) -> None:
        """Say how many ended how, and what to do about the rest."""
        counts = Counter(outcome.ending for outcome in outcomes)
        self._say("jobs: " + ", ".join(f"{count} {ending}" for ending, count in counts.items()))
        if counts["interrupted"]:
            self._say("the same command goes on with those that were interrupted")
        if counts["failed"]:
            self._say("with --retry-failed it tries again those that failed")
        for note in outcomes.notes:
            self._say(f"note: {note}")

    def left(self) -> Interrupted:
        """What to say when nobody watches any more."""
        ids = [watched.queued.slurm_id for watched in self.waiting.values()]
        if not ids:
            return Interrupted("interrupted")
        arrays = dict.fromkeys(slurm_id.partition("_")[0] for slurm_id in ids)
        return Interrupted(
            f"interrupted; jobs that SLURM goes on with: {len(ids)}",
            hint=f"scancel {' '.join(arrays)} ends them; the same command watches them again",
        )

    def _add(self, jobs: Sequence[Job]) -> None:
        for queued in self._submit(jobs):
            self.waiting[queued.job.key] = _Watched(queued)

    def _show(self, watched: _Watched, state: str) -> None:
        if state != watched.shown:
            watched.shown = state
            self._line(watched.queued.slurm_id, state, watched.queued.job)

    def _over(self, job: Job, ending: Ending, exit_code: int, found: Found | None) -> None:
        watched = self.waiting.pop(job.key, None)
        path, record = (None, {}) if found is None else (found.path, found.record)
        self.outcomes[job.key] = Outcome(job, ending, exit_code, path, record)
        slurm_id = "-" if watched is None else watched.queued.slurm_id
        if ending == "failed" and watched is not None:
            where = str(watched.queued.log)
        else:
            where = "" if path is None else str(path)
        self._line(slurm_id, ending, job, where)

    def _line(self, slurm_id: str, state: str, job: Job, where: str = "") -> None:
        words = [f"{slurm_id:>9}", f"{state:<11}", self._labels.of(job), where]
        self._say("  ".join(words).rstrip())

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _say_whether_answered(self, is_answered: bool) -> None:
        if is_answered != self._is_answered:
            self._is_answered = is_answered
            answers = "answers again" if is_answered else "does not answer; waiting for it"
            self._say(f"squeue {answers}")
