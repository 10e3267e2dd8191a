"""How far a running job is, from what its run directory says. Imports no torch."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final

from charlab.errors import UsageError
from charlab.rows import Tail, parsed
from charlab.runs import read_record
from charlab.sweeps.jobs import Job

# seconds between two looks for the run directory of a job that has not made one yet
LOOK_EVERY_S = 0.5
SCORE = "val/bpc"


@final
class Progress:
    """A job's steps, scores and seconds left, read from run.json and metrics.jsonl as they grow.

    run    the run directory, None before the job has made or resumed it
    step   the last step of which there is a row
    total  steps in all, None while run.json does not say
    val    the last validation's bits per character; best: the lowest one
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.run: Path | None = None
        self.step = 0
        self.total: int | None = None
        self.val: float | None = None
        self.best: float | None = None
        self._metrics: Tail | None = None
        self._look_at_s = 0.0
        # where the steps of this process began, for their speed
        self._began: tuple[int, float] | None = None

    def read(self, *, has_ended: bool = False) -> Iterator[Mapping[str, Any]]:
        """The rows of metrics.jsonl that have come since the last call, in their order."""
        if self.run is None and (has_ended or time.monotonic() >= self._look_at_s):
            self._find()
        if self.run is None or self._metrics is None:
            return
        if self.total is None:
            self._read_total(self.run)
        for row in parsed(self._metrics.lines()):
            self._take(row)
            yield row
        if self._began is None and self.step > 0:
            self._began = (self.step, time.monotonic())

    @property
    def left_s(self) -> float | None:
        """Seconds of training left at the speed it has had; None where that is not known yet."""
        if self._began is None or self.total is None:
            return None
        step, at_s = self._began
        steps, seconds = self.step - step, time.monotonic() - at_s
        return (self.total - self.step) * seconds / steps if steps > 0 else None

    def _find(self) -> None:
        """A run that failed or was cut off is that of an attempt before this one."""
        self._look_at_s = time.monotonic() + LOOK_EVERY_S
        found = self.job.find()
        if found is not None and found.state in ("running", "finished"):
            self.run = found.path
            self._metrics = Tail(found.path / "metrics.jsonl")

    def _read_total(self, run: Path) -> None:
        try:
            total = read_record(run).get("total_steps")
        except UsageError:  # it is being made
            return
        self.total = total if isinstance(total, int) else None

    def _take(self, row: Mapping[str, Any]) -> None:
        self.step = row["step"]
        score = row.get(SCORE)
        if isinstance(score, int | float):
            self.val = float(score)
            self.best = self.val if self.best is None else min(self.best, self.val)
