"""The jobs of a sweep, one process each and one after another.

A process of its own for each job, because runs in one process share what a W&B run, a process group
and a CUDA context leave behind, and because a run on several devices starts its own command line
again for each of them.
"""

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import final

# What ends the sweep, and is passed on to the job that runs.
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_jobs(command: Sequence[str], jobs: Sequence[Sequence[str]]) -> int:
    """Run `command` with the overrides of each job in turn; a failed job does not stop the rest.

    Returns the exit code of the first job that failed, 0 where none did, and 128 + N after signal
    N, which the running job gets too and which starts no further job.
    """
    failures: list[tuple[str, int]] = []
    with _Processes().passing_signals() as processes:
        for number, overrides in enumerate(jobs, 1):
            title = f"[{number}/{len(jobs)}] {shlex.join(overrides)}".rstrip()
            print(title, flush=True)
            exit_code = processes.run([*command, *overrides])
            if processes.ended_by is not None:
                return 128 + processes.ended_by
            if exit_code != 0:
                failures.append((title, exit_code))
    if failures:
        print(f"\n{len(failures)} of {len(jobs)} jobs failed:", file=sys.stderr)
        for title, exit_code in failures:
            print(f"  {title}  (exit code {exit_code})", file=sys.stderr)
        return failures[0][1]
    return 0


@final
class _Processes:
    """One process at a time, in a process group of its own: a signal reaches it once, from here.

    In our group a Ctrl-C would reach it from the terminal and again from here, and a second one
    makes Lightning give up without saving.
    """

    def __init__(self) -> None:
        self.ended_by: int | None = None
        self._current: subprocess.Popen[bytes] | None = None

    def run(self, command: Sequence[str]) -> int:
        """Run to the end and return the exit code, 128 + N where signal N killed the process."""
        with subprocess.Popen(command, process_group=0) as process:
            self._current = process
            if self.ended_by is not None:  # the signal came while the process was being made
                process.send_signal(self.ended_by)
            exit_code = process.wait()
        return exit_code if exit_code >= 0 else 128 - exit_code

    @contextmanager
    def passing_signals(self) -> Iterator["_Processes"]:
        """Signals end the sweep, but those that are ignored already (nohup) stay so."""
        handled = [s for s in ENDING_SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
        before = {signum: signal.signal(signum, self._pass_on) for signum in handled}
        try:
            yield self
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _pass_on(self, signum: int, frame: FrameType | None) -> None:
        self.ended_by = signum
        if self._current is not None:
            self._current.send_signal(signum)
