"""Several sources side by side, a job of each in turn: the studies of parts that are compared."""

from collections.abc import Mapping, Sequence
from typing import Any, final

from charlab.sweeps.jobs import Job, Outcome, Source


@final
class InTurns(Source):
    """Jobs of all sources; whichever has given fewest goes first."""

    def __init__(self, sources: Sequence[Source]) -> None:
        counts = [source.num_jobs for source in sources]
        self.num_jobs = sum(count or 0 for count in counts) if None not in counts else None
        self._sources = sources
        self._given = [0] * len(sources)
        self._owners: dict[str, Source] = {}

    def take(self) -> Job | None:
        for index in sorted(range(len(self._sources)), key=self._given.__getitem__):
            job = self._sources[index].take()
            if job is not None:
                self._given[index] += 1
                self._owners[job.key] = self._sources[index]
                return job
        return None

    def look(self, job: Job, row: Mapping[str, Any]) -> bool:
        return self._owners[job.key].look(job, row)

    def ended(self, outcome: Outcome) -> None:
        self._owners[outcome.job.key].ended(outcome)
