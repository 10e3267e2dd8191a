"""A job of a sweep: one run of train.py, what became of it, and where the next one comes from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, final

from charlab.found import Found, find_run
from charlab.run_names import run_name

# finished     it ran to its end now
# skipped      it had finished before
# failed       it failed, now or before
# pruned       its source gave it up, now or before
# interrupted  a signal ended it; it can go on
Ending = Literal["finished", "skipped", "failed", "pruned", "interrupted"]


@final
@dataclass(frozen=True)
class Job:
    """What is typed after train.py, and the checked configuration (plain, resolved) it makes.

    shared  overrides that all jobs of its sweep have, where that is known before all of these are
    """

    overrides: tuple[str, ...]
    config: Mapping[str, Any] = field(repr=False)
    shared: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    @property
    def name(self) -> str:
        """As its run directory is called, but for a number after it."""
        return run_name(self.config)

    @property
    def folder(self) -> Path:
        """Where its run directory is."""
        return Path(self.config["paths"]["runs"]) / str(self.config["group"])

    @property
    def key(self) -> str:
        """What tells it from the other jobs of a sweep, which may be in folders of their own."""
        return str(self.folder / self.name)

    def find(self) -> Found | None:
        """The run of this configuration, if there is one."""
        return find_run(self.folder, self.name)


def starting(command: Sequence[str], *, retry_failed: bool) -> tuple[str, ...]:
    """What starts a job, before its overrides; `command` starts train.py."""
    return (*command, "--once", *(["--retry-failed"] if retry_failed else []))


@final
@dataclass(frozen=True)
class Outcome:
    """How a job ended. run: its directory, if it has one; record: what run.json holds."""

    job: Job
    ending: Ending
    exit_code: int
    run: Path | None
    record: Mapping[str, Any]


class Source(ABC):
    """Where the jobs of a sweep come from: a list, or a study that learns from their scores."""

    # how many there will be, None where it is not known
    num_jobs: int | None
    # whether a run that was pruned is as good as over to it
    takes_pruned = True

    def known(self) -> Sequence[Job]:
        """The jobs that are known before they are taken, in the order in which they will be."""
        return ()

    @abstractmethod
    def take(self) -> Job | None:
        """The next job to start; None where there is none, until another ends if one is running."""

    def look(self, job: Job, row: Mapping[str, Any]) -> bool:
        """Whether the job is to go on after this new row of its metrics.jsonl."""
        return True

    @abstractmethod
    def ended(self, outcome: Outcome) -> None:
        """A job that was taken has ended."""


@final
class Listed(Source):
    """Jobs that are known beforehand, in their order, each to run to its end."""

    takes_pruned = False

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.num_jobs = len(jobs)
        self._jobs = tuple(jobs)
        self._left = list(jobs)

    def known(self) -> Sequence[Job]:
        return self._jobs

    def take(self) -> Job | None:
        return self._left.pop(0) if self._left else None

    def ended(self, outcome: Outcome) -> None:
        pass
