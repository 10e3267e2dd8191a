"""Child processes, and the signals that end them. Imports nothing heavy.

Shared by a sweep, which runs its jobs one after another, and by a job of several processes, which
run side by side.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import IO, final

# What ends this process, and is passed on to those that it started.
ENDING_SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def exit_code_of(process: subprocess.Popen[bytes]) -> int | None:
    """Its exit code, 128 + N where signal N killed it as a shell has it, None while it runs."""
    code = process.poll()
    return code if code is None or code >= 0 else 128 - code


@final
class Processes:
    """Child processes, each in a process group of its own: a signal reaches it once, from here.

    In our group a Ctrl-C would reach it from the terminal and again from here, and a second one
    makes Lightning give up without saving.

    ended_by  the last signal that came, and was passed on to those that run
    received  all that came, in their order
    """

    def __init__(self) -> None:
        self.ended_by: int | None = None
        self.received: list[int] = []
        self._started: list[subprocess.Popen[bytes]] = []

    def run(self, command: Sequence[str]) -> int:
        """Run to the end and return the exit code, 128 + N where signal N killed the process."""
        process = self.start(command)
        process.wait()
        self._started.remove(process)
        exit_code = exit_code_of(process)
        assert exit_code is not None
        return exit_code

    def start(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: int | None = None,
        output: IO[bytes] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process; with `output`, what it prints and its errors go there together."""
        process = subprocess.Popen(
            command, process_group=0, env=env, stdin=stdin, stdout=output, stderr=output
        )
        self._started.append(process)
        if self.ended_by is not None:  # the signal came while the process was being made
            process.send_signal(self.ended_by)
        return process

    def kill(self) -> None:
        """SIGKILL for those that run, with whatever they have started in their groups."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    @contextmanager
    def passing_signals(self) -> Iterator["Processes"]:
        """Signals that end us are passed on; those that are ignored already (nohup) stay so."""
        handled = [s for s in ENDING_SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
        before = {signum: signal.signal(signum, self._pass_on) for signum in handled}
        try:
            yield self
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _pass_on(self, signum: int, frame: FrameType | None) -> None:
        self.ended_by = signum
        self.received.append(signum)
        for process in self._started:
            process.send_signal(signum)
