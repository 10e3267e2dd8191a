"""A job of a sweep as the sweep sees it, and how jobs are told apart on the screen."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, final

from charlab.sweeps.attempt import Attempt
from charlab.sweeps.jobs import Ending, Job, Outcome
from charlab.sweeps.progress import Progress
from charlab.terminal import harmless

# waiting    it has not been started yet
# running    in a process of this sweep
# elsewhere  in a process that another sweep or somebody else has started
State = Literal["waiting", "running", "elsewhere", Ending]


@final
@dataclass
class Entry:
    """What is known of a job.

    number     from 1, in the order of the sweep
    attempt    its process, now or last
    outcome    once it is over
    seconds    what it took in this sweep
    tail       where it failed: the last lines that it printed
    look_at_s  where it runs elsewhere: when to look again, `look_every_s` after the last look
    """

    number: int
    job: Job
    state: State = "waiting"
    attempt: Attempt | None = None
    outcome: Outcome | None = None
    seconds: float = 0.0
    tail: Sequence[str] = field(default=(), repr=False)
    look_at_s: float = 0.0
    look_every_s: float = 0.0
    progress: Progress = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.progress = Progress(self.job)

    @property
    def was_elsewhere(self) -> bool:
        """Whether another process has run it while this sweep waited."""
        return self.look_every_s > 0

    @property
    def run(self) -> Path | None:
        return None if self.outcome is None else self.outcome.run

    @property
    def run_seconds(self) -> float | None:
        """How long its run took, over all sweeps that ran it, as run.json has it."""
        seconds: Any = self.outcome.record.get("seconds") if self.outcome is not None else None
        return float(seconds) if isinstance(seconds, int | float) else None

    def score(self, name: str) -> float | None:
        """A score of a run that is over, such as `test/bpc`."""
        scores: Any = self.outcome.record.get("scores") if self.outcome is not None else None
        score = scores.get(name) if isinstance(scores, dict) else None
        return float(score) if isinstance(score, int | float) else None

    @property
    def error(self) -> str:
        """Why it ended, as run.json has it; empty where it does not say."""
        told = self.outcome.record.get("error") if self.outcome is not None else None
        return harmless(str(told)) if told else ""


@final
class Labels:
    """What tells jobs apart: the overrides that not all of them have, by short names."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        counts = Counter(override for job in jobs for override in set(job.overrides))
        is_alone = len({job.overrides for job in jobs}) == 1
        self._shared = {o for o, count in counts.items() if count == len(jobs) and not is_alone}
        known = frozenset.intersection(*(job.shared for job in jobs)) if jobs else frozenset()
        if counts.keys() - self._shared - known:  # else nothing would be left to show
            self._shared |= known
        names = {override.partition("=")[0] for override in counts.keys() - self._shared}
        lasts = Counter(_last_part(name) for name in names)
        self._short = {
            name: _last_part(name) if lasts[_last_part(name)] == 1 else name for name in names
        }

    def of(self, job: Job) -> str:
        own = (o.partition("=") for o in job.overrides if o not in self._shared)
        words = [f"{self._short[name]}={value}" for name, _, value in own]
        return harmless(" ".join(words)).replace("\n", " ") or "defaults"


def _last_part(name: str) -> str:
    return name.rpartition(".")[2]
