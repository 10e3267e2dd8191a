"""A grid whose bad jobs are pruned, and what came of a grid."""

from collections.abc import Mapping, Sequence
from typing import Any, final

from charlab.sweeps.definition.files import Metric
from charlab.sweeps.definition.hyperband import Hyperband
from charlab.sweeps.jobs import Job, Listed, Outcome, Source
from charlab.sweeps.search.scores import finite, history, score_of
from charlab.sweeps.search.tuning import Tried


@final
class WatchedGrid(Source):
    """Jobs that are known beforehand, each of which goes on as hyperband has it.

    What was measured is read again from the run directories, so a repeated sweep knows as much.
    """

    def __init__(self, jobs: Sequence[Job], metric: Metric, hyperband: Hyperband) -> None:
        self._listed = Listed(jobs)
        self.num_jobs = self._listed.num_jobs
        self._metric = metric
        self._hyperband = hyperband
        # of each job the values by step; smaller is better
        self._values: dict[str, dict[int, float]] = {job.key: {} for job in jobs}

    def known(self) -> Sequence[Job]:
        return self._listed.known()

    def take(self) -> Job | None:
        return self._listed.take()

    def look(self, job: Job, row: Mapping[str, Any]) -> bool:
        value = finite(row.get(self._metric.name))
        if value is None:
            return True
        self._values[job.key][row["step"]] = self._signed(value)
        others = [list(values.values()) for key, values in self._values.items() if key != job.key]
        return not self._hyperband.stops(list(self._values[job.key].values()), others)

    def ended(self, outcome: Outcome) -> None:
        if outcome.run is not None:
            found = history(outcome.run, self._metric.name)
            self._values[outcome.job.key] = {
                step: self._signed(value) for step, value in found.items()
            }

    def _signed(self, value: float) -> float:
        return value if self._metric.goal == "minimize" else -value


def tried_jobs(jobs: Sequence[Job], metric: Metric) -> list[Tried]:
    """The jobs that are over, from their run directories alone."""
    shared = set.intersection(*(set(job.overrides) for job in jobs)) if len(jobs) > 1 else set()
    best = min if metric.goal == "minimize" else max
    trials = []
    for job in jobs:
        found = job.find()
        if found is None or found.state not in ("finished", "pruned", "failed"):
            continue
        score = None
        if found.state == "finished":
            score = score_of(found.record, found.path, metric.name)
        elif found.state == "pruned":
            score = best(history(found.path, metric.name).values(), default=None)
        own = (line.partition("=")[::2] for line in job.overrides if line not in shared)
        ending = "failed" if score is None else found.state
        trials.append(Tried(score, ending, dict(own), str(found.record.get("error") or "")))
    return trials
