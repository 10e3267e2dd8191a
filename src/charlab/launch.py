"""A job of several processes: started together, ended together. Imports nothing heavy.

Not by Lightning's launcher, whose rank 0 is the process at the terminal: when another rank fails,
rank 0 is killed before it can record that; when rank 0 is killed, the others stay behind; and each
rank would make a run directory of its own.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import final

from charlab.cores import num_cores
from charlab.exchange import INTERRUPTED, Exchange, Failure
from charlab.grace import RANK_S
from charlab.processes import ENDING_SIGNALS, Processes, exit_code_of
from charlab.ranks import POLL_S, VARIABLE
from charlab.runs import Status, mark_ended, read_record

# lines of a failed rank's output that are shown: a traceback through Lightning is longer, and its
# end says what matters
TAIL_LINES = 25
# Signals by which others end a process; after the rest of them it has failed by itself.
ENDED_FROM_OUTSIDE = {-number for number in (*ENDING_SIGNALS, signal.SIGKILL)}


def this_command() -> list[str]:
    """The command line of this process, with the options of the interpreter."""
    return [sys.executable, *sys.orig_argv[1:]]


def launch(command: Sequence[str], size: int, grace_s: float = RANK_S) -> int:
    """Run `command` as ranks 0 to size - 1 and return the exit code of the one that failed first.

    Rank 0 has the terminal; of another that fails first the end of its output is shown, and all of
    it kept in the run directory. A failure of one rank, or a signal to this process, ends all:
    politely, and by force after `grace_s` seconds. When this process is killed they notice and end
    too (see ranks.py). Whatever happens, run.json does not go on saying that the run is running.
    """
    with (
        tempfile.TemporaryDirectory(prefix="charlab-", ignore_cleanup_errors=True) as folder,
        Processes().passing_signals() as processes,
    ):
        job = _Job(processes, Exchange(Path(folder)), size)
        try:
            job.start(command)
            job.wait(grace_s)
        finally:
            job.end()
        return job.conclude()


@final
class _Job:
    """The ranks of one job, from their start to what is said of their end."""

    def __init__(self, processes: Processes, exchange: Exchange, size: int) -> None:
        self.processes = processes
        self.exchange = exchange
        self.size = size
        self.ranks: list[subprocess.Popen[bytes]] = []
        # the first failure, where it is one that nobody but this process tells of
        self.noticed: Failure | None = None
        # whether this process has begun to end the ranks
        self.ends_them = False

    def start(self, command: Sequence[str]) -> None:
        for rank in range(self.size):
            env = _environment(self.exchange, rank, self.size)
            if rank == 0:
                process = self.processes.start(command, env=env, stdin=subprocess.PIPE)
            else:
                with self.exchange.log(rank).open("wb") as log:
                    process = self.processes.start(
                        command, env=env, stdin=subprocess.PIPE, output=log
                    )
            self.ranks.append(process)

    def wait(self, grace_s: float) -> None:
        """Until all ranks have ended."""
        kill_at_s: float | None = None
        while any(process.poll() is None for process in self.ranks):
            if kill_at_s is None and self._is_ending():
                kill_at_s = time.monotonic() + grace_s
            if kill_at_s is not None and time.monotonic() > kill_at_s:
                self.processes.kill()
            time.sleep(POLL_S)
        self._notice()
        if not self.ends_them:
            self._blame_the_killed()

    def end(self) -> None:
        self.processes.kill()
        for process in self.ranks:
            process.communicate()  # closes our end of the pipe

    def _is_ending(self) -> bool:
        """Whether the ranks have, or now get, a reason to end."""
        self._notice()
        failure = self.exchange.failure
        if failure is None:
            if self._had_nothing_to_do():
                for process in self.ranks[1:]:  # they wait for a run
                    process.terminate()
            # without rank 0 the others have nothing left to do
            return self.ranks[0].poll() == 0
        self._blame_the_killed()
        self.ends_them = True
        if self.processes.ended_by is None:  # else they all have that signal
            for rank, process in enumerate(self.ranks):
                if rank != failure.rank:
                    process.terminate()
        return True

    def _blame_the_killed(self) -> None:
        """Where a rank was killed, others fail for want of it, and may tell of that first."""
        killed = self._killed()
        is_told = self.exchange.failure not in (None, INTERRUPTED, self.noticed)
        if killed and is_told and self.processes.ended_by is None:
            self.noticed = Failure(killed[0], self._ending(killed[0]))

    def _killed(self) -> list[int]:
        ended = enumerate(process.poll() for process in self.ranks)
        return [rank for rank, code in ended if code in ENDED_FROM_OUTSIDE]

    def _had_nothing_to_do(self) -> bool:
        """Whether rank 0 found that the run had finished, and began none."""
        return self.ranks[0].poll() == 0 and self.exchange.run is None

    def _notice(self) -> None:
        """Tell of a signal, and of a rank that was killed or ended before it could tell."""
        failed = [rank for rank, process in enumerate(self.ranks) if process.poll()]
        if self.exchange.failure is not None or self._had_nothing_to_do():
            return
        if self.processes.ended_by is not None:
            self.noticed = INTERRUPTED
        elif failed:
            first = (self._killed() or failed)[0]
            self.noticed = Failure(first, self._ending(first))
        if self.noticed is not None:
            self.exchange.tell_failure(self.noticed)

    def _ending(self, rank: int) -> str:
        code = self.ranks[rank].returncode
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def conclude(self) -> int:
        """Set the record right, say what rank 0 has not said, and return the exit code."""
        failure = self.exchange.failure
        if failure is not None and self.noticed is not None:
            failure = self.noticed
        codes = [exit_code_of(process) for process in self.ranks]
        failed = [code for code in codes if code]
        if failure is None or not failed:
            return 0
        run = self.exchange.run
        is_told = failure.rank == 0 and failure != self.noticed
        if failure == INTERRUPTED:
            _correct(run, "preempted", failure.error, is_told=True)
        else:
            code = self.ranks[failure.rank].returncode
            was_killed = failure == self.noticed and code in ENDED_FROM_OUTSIDE
            status: Status = "preempted" if was_killed else "failed"
            _correct(run, status, f"rank {failure.rank}: {failure.error}", is_told)
            if not is_told:
                ending = self._ending(failure.rank)
                print(f"rank {failure.rank} of {self.size} failed first: {ending}", file=sys.stderr)
            if failure.rank > 0:
                _show(self.exchange.log(failure.rank), run)
        return codes[failure.rank] or failed[0]


def _correct(run: Path | None, ended_as: Status, error: str, is_told: bool) -> None:
    """Where rank 0 could not record how the run ended, or recorded what came of another's end."""
    if run is None:
        return
    status = read_record(run)["status"]
    if status == "running" or (status in ("failed", "preempted") and not is_told):
        mark_ended(run, ended_as, error)


def _show(log: Path, run: Path | None) -> None:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines:
        return
    print("the end of its output:", file=sys.stderr)
    print(*(f"  {line}" for line in lines[-TAIL_LINES:]), sep="\n", file=sys.stderr)
    if run is not None:
        print(f"all of it: {shutil.copyfile(log, run / log.name)}", file=sys.stderr)


def _environment(exchange: Exchange, rank: int, size: int) -> dict[str, str]:
    """What makes a process a rank, for charlab and for Lightning, and its share of the machine."""
    loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    return {
        # all ranks are on this machine, whose own name may lead nowhere without a network
        **({"GLOO_SOCKET_IFNAME": loopback[0]} if loopback else {}),
        "OMP_NUM_THREADS": str(max(1, num_cores() // size)),
        **os.environ,
        VARIABLE: str(exchange.folder),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(size),
    }
