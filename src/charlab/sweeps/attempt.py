"""One process of a job: its start, its log, its progress, its end. Imports no torch."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import final

from charlab.errors import UsageError
from charlab.lifeline import VARIABLE
from charlab.processes import Processes, exit_code_of
from charlab.sweeps.jobs import Job
from charlab.terminal import harmless

TAIL_LINES = 12


@final
class Attempt:
    """A process that runs a job, in a process group of its own. It ends when we do.

    log        what it prints, after what earlier attempts printed
    gpus       what it holds of the machine
    is_pruned  whether the source of the sweep has given it up
    """

    def __init__(
        self,
        job: Job,
        command: Sequence[str],
        environment: Mapping[str, str],
        gpus: Sequence[str],
        processes: Processes,
    ) -> None:
        self.gpus = gpus
        self.is_pruned = False
        self.log = log_of(job)
        self.started_s = time.monotonic()
        self._kill_at_s: float | None = None
        words = [*command, *job.overrides]
        # of one run of W&B's; each job is a run of its own
        inherited = {name: v for name, v in os.environ.items() if name != "WANDB_RUN_ID"}
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as log:
                log.write(f"$ {shlex.join(words)}\n".encode())
                log.flush()
                self._log_begins_bytes = log.tell()
                self._process = processes.start(
                    words,
                    env={**inherited, **environment, VARIABLE: "1"},
                    stdin=subprocess.PIPE,
                    output=log,
                )
        except OSError as error:
            raise UsageError(
                f"a job of the sweep cannot be started: {error.strerror or error}",
                expected="a folder for logs that can be written, and room for a process more",
                got=str(error.filename or self.log),
            ) from error

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started_s

    def poll(self) -> int | None:
        """Its exit code, 128 + N where signal N killed it, None while it runs."""
        if self._kill_at_s is not None and time.monotonic() > self._kill_at_s:
            self.kill()
        return exit_code_of(self._process)

    def stop(self, grace_s: float) -> None:
        """Let it save and end; by force after `grace_s` seconds."""
        self._process.terminate()
        self._kill_at_s = time.monotonic() + grace_s

    def kill(self) -> None:
        """End it, and what it has started, now."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """After its end; where it failed or was killed, nothing of its process group stays."""
        if self._process.returncode != 0:
            self.kill()
        self._process.communicate()  # closes our end of the pipe

    def tail(self) -> list[str]:
        """The last lines that it printed."""
        with suppress(OSError), self.log.open("rb") as log:
            log.seek(self._log_begins_bytes)
            return last_lines(log.read())
        return []


def log_of(job: Job) -> Path:
    """The file that gets what a job prints."""
    return job.folder / "logs" / f"{job.name}.log"


def last_lines(printed: bytes) -> list[str]:
    text = harmless(printed.decode("utf-8", errors="replace").replace("\r", "\n"))
    return [line for line in text.splitlines() if line.strip()][-TAIL_LINES:]
