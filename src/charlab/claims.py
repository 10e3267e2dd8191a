"""Which process has a run directory. Imports nothing heavy.

    <run>/claim.json       host, pid and start of the process that runs the run
    <run>/../.lock         held for the moment in which a process looks at runs and takes one

The claim is a file, so that processes of other machines see it, and it says nothing once its
process is no more: on this machine by the pid and its start, elsewhere by a heartbeat, the time at
which the file was last touched. Of several ranks of a run rank 0 has the claim: the others write
nothing there.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, final

from filelock import FileLock

from charlab.errors import Held, UsageError

NAME = "claim.json"
BEAT_S = 10.0
# A process of another machine that has not shown itself for this long is dead.
DEAD_AFTER_S = 120.0


class Holder(NamedTuple):
    """A process.

    place    within which its pid means something: a start of the machine, a namespace
    started  when the process did, as the system says it; pids are used again
    """

    host: str
    place: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def this_process() -> Holder:
    return Holder(socket.gethostname(), _place(), os.getpid(), _start_of(os.getpid()) or "")


def holder_of(run: Path) -> Holder | None:
    """The live process that runs a run, if there is one."""
    try:
        silent_s = time.time() - (run / NAME).stat().st_mtime
        holder = _read(run)
    except OSError:
        return None
    return holder if holder is not None and is_alive(holder, silent_s) else None


def is_alive(holder: Holder, silent_s: float) -> bool:
    """Whether a process that last showed itself so many seconds ago is still there."""
    if holder.place == _place():
        return _start_of(holder.pid) == holder.started
    return silent_s < DEAD_AFTER_S


@contextmanager
def deciding(folder: Path) -> Iterator[None]:
    """Be the only process that makes or takes a run of this folder; falls with the process.

    Raises UsageError where the folder cannot be written.
    """
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise UsageError(
            f"cannot make a run directory in {folder}, or go on with one",
            expected="a folder that can be written",
            got=error.strerror or str(error),
            hint="paths.runs=FOLDER puts new runs elsewhere",
            option="paths.runs",
        ) from error
    try:
        yield
    finally:
        lock.release()


@final
class Claim:
    """The claim of this process on a run, with its heartbeat, until it is released.

    To be made while `deciding`. Raises Held where a live process has the run.
    """

    def __init__(self, run: Path) -> None:
        holder = holder_of(run)
        if holder is not None:
            raise Held(f"{run} is held by {holder}", run)
        self.run = run
        self._mine = this_process()
        self._released = threading.Event()
        draft = run / f"{NAME}.new"
        draft.write_text(json.dumps(self._mine._asdict()) + "\n", encoding="utf-8")
        draft.replace(run / NAME)
        threading.Thread(target=self._beat, daemon=True).start()

    def check(self) -> None:
        """Raise Held where another process has taken the run over, as this one looked dead.

        A machine that slept, or lost its network drive for minutes.
        """
        with suppress(OSError):
            holder = _read(self.run)
            if holder is not None and holder != self._mine:
                raise Held(f"{self.run} has been taken over by {holder}", self.run)

    def release(self) -> None:
        self._released.set()
        with suppress(OSError):
            if _read(self.run) == self._mine:
                (self.run / NAME).unlink()

    def _beat(self) -> None:
        while not self._released.wait(BEAT_S):
            with suppress(OSError):
                if _read(self.run) == self._mine:
                    os.utime(self.run / NAME)


def _read(run: Path) -> Holder | None:
    """The process that a claim names, dead or alive; None where the claim is damaged."""
    text = (run / NAME).read_text(encoding="utf-8", errors="replace")
    try:
        found = json.loads(text)
        return Holder(*(found[name] for name in Holder._fields))
    except (ValueError, KeyError, TypeError):
        return None


def _place() -> str:
    if sys.platform != "linux":
        return socket.gethostname()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _start_of(pid: int) -> str | None:
    """When a process of this machine started, in words or ticks; None where there is none."""
    if sys.platform != "linux":
        done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True)
        return done.stdout.decode("ascii", "replace").strip() or None
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # the name of the program, in brackets, may hold anything; fields 3 and 22 of proc(5)
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
