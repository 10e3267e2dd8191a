"""A sweep on this machine: one process for each job, some side by side. Imports no torch."""

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from rich.console import Console

from charlab.errors import Held
from charlab.found import Found
from charlab.grace import JOB_S
from charlab.processes import Processes
from charlab.runs import mark_ended, read_record
from charlab.sweeps.attempt import Attempt, last_lines, log_of
from charlab.sweeps.ending import Outcomes, crash_of, ending_of, failed_run, marked_crash
from charlab.sweeps.entry import Entry
from charlab.sweeps.jobs import Ending, Job, Outcome, Source, starting
from charlab.sweeps.progress import Progress
from charlab.sweeps.report import show_report
from charlab.sweeps.share import Shares, visible_gpus
from charlab.sweeps.table import View, view_for

POLL_S = 0.2
# seconds until another look at a job that runs elsewhere, at first and at most
HELD_S, MAX_HELD_S = 2.0, 30.0


@final
@dataclass(frozen=True)
class LocalOptions:
    """How a sweep uses this machine.

    workers       jobs side by side
    gpus_per_job  GPUs of each job, where there are any
    retry_failed  failed and pruned runs are tried again
    """

    workers: int = 1
    gpus_per_job: int = 1
    retry_failed: bool = False


def run_sweep(
    source: Source,
    command: Sequence[str],
    options: LocalOptions,
    console: Console,
    grace_s: float = JOB_S,
) -> Outcomes:
    """Run `command --once OVERRIDES` for each job that is not over, and return what came of it.

    A job that fails does not stop the others. A job that another process is running is waited for,
    and taken over when that process dies. SIGINT, SIGTERM and SIGHUP are passed on to the jobs,
    which have `grace_s` seconds to save; none is started any more, and a second Ctrl-C kills them.
    When this process is killed they end by themselves. Shows all of it on the console.

    Raises UsageError where there are fewer GPUs than a job is to have.
    """
    shares = Shares(options.workers, options.gpus_per_job, visible_gpus())
    jobs = "job" if source.num_jobs == 1 else "jobs"
    num = "" if source.num_jobs is None else f"{source.num_jobs:,} {jobs}, "
    console.print(f"{num}{options.workers} at a time{shares.words}", markup=False)
    with Processes().passing_signals() as processes:
        pool = _Pool(source, command, options, shares, processes, view_for(console), grace_s)
        pool.run()
    outcomes = Outcomes(entry.outcome for entry in pool.entries if entry.outcome is not None)
    outcomes.signal, outcomes.takes_pruned = processes.ended_by, source.takes_pruned
    show_report(console, pool.entries, outcomes)
    return outcomes


@final
class _Pool:
    """The jobs of one sweep, from the first look to the last end."""

    def __init__(
        self,
        source: Source,
        command: Sequence[str],
        options: LocalOptions,
        shares: Shares,
        processes: Processes,
        view: View,
        grace_s: float,
    ) -> None:
        self.entries = [Entry(number, job) for number, job in enumerate(source.known(), 1)]
        self._source = source
        self._command = starting(command, retry_failed=options.retry_failed)
        self._options = options
        self._shares = shares
        self._processes = processes
        self._view = view
        self._grace_s = grace_s
        self._num_taken = 0
        self._is_dry = False  # the source has no job before another ends
        self._ready: list[Entry] = []
        self._running: list[Entry] = []
        self._elsewhere: list[Entry] = []
        self._failed_before: dict[int, Path | None] = {}  # by number of the job

    def run(self) -> None:
        with self._view.shown():
            try:
                while self._is_going_on():
                    self._poll()
                    self._view.show(self.entries, self._source.num_jobs, self._options.workers)
                    time.sleep(POLL_S)
                self._end_all()
            except BaseException:
                self._abandon()
                raise

    def _is_going_on(self) -> bool:
        if self._processes.ended_by is not None:
            return False
        self._look_elsewhere()
        self._start_jobs()
        return bool(self._running or self._elsewhere or self._ready) or not self._is_dry

    # ------------------------------------------------------------------------------------ start
    def _start_jobs(self) -> None:
        while len(self._running) < self._options.workers and self._processes.ended_by is None:
            entry = self._ready.pop(0) if self._ready else self._take()
            if entry is None:
                return
            if entry.state == "waiting" and not self._start(entry):
                self._ready.insert(0, entry)  # the GPUs are busy
                return

    def _take(self) -> Entry | None:
        """The next job of the source, looked at: it may be over, or run elsewhere."""
        job = None if self._is_dry else self._source.take()
        if job is None:
            self._is_dry = True
            return None
        if self._num_taken == len(self.entries):
            self.entries.append(Entry(self._num_taken + 1, job))
        entry = self.entries[self._num_taken]
        assert entry.job is job
        self._num_taken += 1
        self._look(entry)
        return entry

    def _look(self, entry: Entry) -> None:
        """What there is of the job decides whether it is over, waited for or to be started."""
        found = entry.job.find()
        if found is not None and found.state == "finished":
            self._over(entry, "skipped", 0, found)
        elif (
            found is not None
            and (found.state == "failed" or found.state == "pruned")
            and not self._options.retry_failed
        ):
            self._over(entry, found.state, 1, found)
        elif found is not None and found.state == "running":
            self._set_aside(entry)
        else:
            entry.state = "waiting"

    def _look_elsewhere(self) -> None:
        for entry in list(self._elsewhere):
            if time.monotonic() >= entry.look_at_s:
                self._elsewhere.remove(entry)
                self._look(entry)
                if entry.state == "waiting":
                    self._ready.append(entry)

    def _set_aside(self, entry: Entry) -> None:
        if entry.state != "elsewhere":
            entry.state = "elsewhere"
            self._view.tell(entry)
        entry.look_every_s = min(max(HELD_S, entry.look_every_s * 1.5), MAX_HELD_S)
        entry.look_at_s = time.monotonic() + entry.look_every_s
        self._elsewhere.append(entry)
        for _ in entry.progress.read():  # it is shown, but not for its source to judge
            pass

    def _start(self, entry: Entry) -> bool:
        config = entry.job.config
        gpus = self._shares.take(config)
        if gpus is None:
            return False
        environment = self._shares.environment(config, gpus)
        self._failed_before[entry.number] = failed_run(entry.job)
        entry.attempt = Attempt(entry.job, self._command, environment, gpus, self._processes)
        entry.state, entry.progress = "running", Progress(entry.job)
        self._running.append(entry)
        self._view.tell(entry)
        return True

    # -------------------------------------------------------------------------------------- end
    def _poll(self) -> None:
        for entry in list(self._running):
            assert entry.attempt is not None
            code = entry.attempt.poll()  # before the rows, so that none is missed
            for row in entry.progress.read(has_ended=code is not None):
                goes_on = self._source.look(entry.job, row)
                if not goes_on and code is None and not entry.attempt.is_pruned:
                    entry.attempt.is_pruned = True
                    entry.attempt.stop(self._grace_s)
            if code is not None:
                self._running.remove(entry)
                self._shares.give_back(entry.attempt.gpus)
                entry.attempt.close()
                self._conclude(entry, entry.attempt, code)

    def _conclude(self, entry: Entry, attempt: Attempt, code: int) -> None:
        found = entry.job.find()
        if code == Held.exit_code:
            self._set_aside(entry)
            return
        ending = ending_of(code, found, self._failed_before[entry.number])
        if ending == "finished":
            self._over(entry, "finished", 0, found)
        elif attempt.is_pruned and found is not None and found.state != "failed":
            mark_ended(found.path, "pruned", "pruned by the sweep")
            found = Found(found.path, "pruned", read_record(found.path))
            self._over(entry, "pruned", code, found)
        else:
            crash, was_stopped = crash_of(code), self._processes.ended_by is not None
            if crash is not None and was_stopped:
                ending = "interrupted"  # on the way out
            elif crash is not None:
                found = marked_crash(entry.job, crash)
            entry.tail = attempt.tail()
            self._over(entry, ending, code or 1, found)

    def _over(self, entry: Entry, ending: Ending, code: int, found: Found | None) -> None:
        run, record = (None, {}) if found is None else (found.path, found.record)
        entry.state = ending
        entry.seconds = 0.0 if entry.attempt is None else entry.attempt.seconds
        entry.outcome = Outcome(entry.job, ending, code, run, record)
        if ending == "failed" and entry.attempt is None:
            entry.tail = _old_tail(entry.job)
        self._source.ended(entry.outcome)
        self._is_dry = False
        if ending != "interrupted" or self._processes.ended_by is None:
            self._view.tell(entry)

    def _end_all(self) -> None:
        """After a signal: jobs that run save and end, or are ended."""
        if self._running:
            self._view.say(f"waiting for {len(self._running)} to save; Ctrl-C again kills them")
        kill_at_s = time.monotonic() + self._grace_s
        while self._running:
            is_hurried = self._processes.received.count(signal.SIGINT) > 1
            if is_hurried or time.monotonic() > kill_at_s:
                self._processes.kill()
            self._poll()
            self._view.show(self.entries, self._source.num_jobs, self._options.workers)
            time.sleep(POLL_S)
        self._view.show(self.entries, self._source.num_jobs, self._options.workers)

    def _abandon(self) -> None:
        """After an error of the sweep itself: the same, without asking the source."""
        attempts = [entry.attempt for entry in self._running if entry.attempt is not None]
        for attempt in attempts:
            attempt.stop(self._grace_s)
        for attempt in attempts:
            while attempt.poll() is None:
                time.sleep(POLL_S)
            attempt.close()


def _old_tail(job: Job) -> list[str]:
    try:
        return last_lines(log_of(job).read_bytes())
    except OSError:
        return []
