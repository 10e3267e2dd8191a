"""This process among those of its run, and what it shares with them. Imports nothing heavy.

Rank 0 keeps the record and shows the run. It also does first whatever all ranks do alike and may
fail in, reading the data above all: a mistake is told once, and what is cached is made once.
"""

import atexit
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import final

from charlab.errors import CharlabError, UsageError
from charlab.exchange import INTERRUPTED, Exchange, Failure, Pause
from charlab.grace import RANK_S
from charlab.runs import mark_ended
from charlab.world import World

# Set by launch.py for the ranks that it starts: the folder of their Exchange.
VARIABLE = "CHARLAB_EXCHANGE"
POLL_S = 0.05
# How long a rank that fails waits for the word that another has failed: that one's end shows here
# as a connection that broke, which is a failure that nobody wants to read about.
OTHERS_S = 1.0


@final
class Rank:
    """One process of a run; a run of one process has nobody to share with.

    world  which of how many
    """

    def __init__(self, world: World, exchange: Exchange | None) -> None:
        self.world = world
        self._exchange = exchange
        self._run: Path | None = None

    @classmethod
    def of_this_process(cls) -> "Rank":
        """As the launcher says; raises UsageError in a rank that another program started."""
        folder = os.environ.get(VARIABLE)
        if folder is None:
            _refuse_other_launchers()
            return cls(World(), None)
        world = World(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
        rank = cls(world, Exchange(Path(folder)))
        threading.Thread(target=rank._end_with_launcher, daemon=True).start()
        return rank

    @property
    def store(self) -> Path:
        """The file in which torch lets the ranks of a run find each other."""
        assert self._exchange is not None
        return self._exchange.store

    @property
    def is_over(self) -> bool:
        """Whether another rank has failed, so that there is no next step."""
        failure = None if self._exchange is None else self._exchange.failure
        return failure is not None and failure != INTERRUPTED

    def pause(self, step: int, is_due: bool, is_ending: bool, next_meeting: int) -> Pause | None:
        """When all ranks save next, as rank 0 says; each asks once a step, before the step begins.

        step          steps done
        is_due        this process has reason to save
        is_ending     this process was told to end
        next_meeting  the step at whose end all ranks have surely waited for each other

        Rank 0 names a step that no rank can have passed, so that all save the same.
        """
        if self._exchange is None:
            return Pause(step, is_ending) if is_due or is_ending else None
        pause = self._exchange.pause
        if not self.world.is_first:
            if is_ending:
                self._exchange.ask_stop()
            return pause
        is_ending = is_ending or self._exchange.stop_asked
        if (pause is None or pause.step < step) and (is_due or is_ending):
            pause = Pause(next_meeting, is_ending)
            self._exchange.tell_pause(pause)
        return pause

    def wait_for_run(self) -> Path | None:
        """The run directory, once rank 0 has made it; None for rank 0 itself."""
        if self.world.is_first or self._exchange is None:
            return None
        while self._run is None:  # without limit: the launcher ends us when rank 0 fails
            time.sleep(POLL_S)
            self._run = self._exchange.run
        return self._run

    def hand_over(self, run: Path) -> None:
        """Rank 0 lets the others go on, in this run directory."""
        self._run = run
        if self.world.is_first and self._exchange is not None:
            self._exchange.tell_run(run)

    @contextmanager
    def failing_once(self) -> Iterator[None]:
        """An error inside goes on if it is the first of all ranks, else this one exits silently."""
        try:
            yield
        except Exception as error:
            if self._exchange is None or self._is_first(self._exchange, error):
                raise
            raise SystemExit(1) from None

    def _is_first(self, exchange: Exchange, error: Exception) -> bool:
        if not isinstance(error, CharlabError):
            give_up_s = time.monotonic() + OTHERS_S
            while exchange.failure is None and time.monotonic() < give_up_s:
                time.sleep(POLL_S)
        try:
            failure = Failure(self.world.rank, f"{type(error).__name__}: {error}")
            return exchange.tell_failure(failure)
        except FileNotFoundError:  # the launcher is gone, and the folder with it
            return self.world.is_first

    def _end_with_launcher(self) -> None:
        """End this process, by force if need be, when the launcher is no more."""
        assert self._exchange is not None
        os.read(0, 1)  # a pipe whose other end the launcher holds, and never writes to
        clean_up = partial(shutil.rmtree, self._exchange.folder, ignore_errors=True)
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            clean_up()
        else:  # the ranks use the folder to end at the same step
            atexit.register(clean_up)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(RANK_S)
        if self.world.is_first and self._run is not None:
            mark_ended(self._run, "preempted", "the process that started the run was killed")
        clean_up()
        os._exit(1)


def _refuse_other_launchers() -> None:
    num_tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    # not where srun starts several of what starts this process: agents, or sweeps
    if num_tasks != "1" and os.environ.get("SLURM_TASK_PID") == str(os.getpid()):
        raise UsageError(
            f"srun starts this command {num_tasks} times, and each would be a run",
            expected="one task a run, which starts one process a device by itself",
            got=f"SLURM_STEP_NUM_TASKS={num_tasks}",
            hint="srun --ntasks=1 --gpus-per-task=N python train.py trainer=ddp trainer.devices=N",
            option="trainer.devices",
        )
    found = [name for name in ("RANK", "LOCAL_RANK") if name in os.environ]
    if found and os.environ.get("WORLD_SIZE") != "1":
        raise UsageError(
            f"{found[0]} is set: another program starts the processes of this run",
            expected="a plain `python train.py`, which starts one process a device by itself",
            got=" ".join(f"{name}={os.environ[name]}" for name in found),
            hint="python train.py trainer=ddp trainer.devices=N, without torchrun",
            option="trainer.devices",
        )
