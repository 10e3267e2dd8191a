"""A search by Optuna as a source of jobs, shared by all processes that use its storage.

Trial k of a study is drawn by a sampler whose seed is the study's and k, so that it does not matter
who draws it, and random search tries the same settings each time.
"""

import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, final

from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study, create_study
from optuna.trial import FixedTrial, FrozenTrial, Trial, TrialState

from charlab.claims import DEAD_AFTER_S, Holder, is_alive, this_process
from charlab.errors import UsageError
from charlab.sweeps.definition.files import Metric
from charlab.sweeps.definition.hyperband import Hyperband
from charlab.sweeps.jobs import Job, Outcome, Source
from charlab.sweeps.search.scores import finite, history, score_of
from charlab.sweeps.search.space import Space
from charlab.sweeps.search.trials import (
    AGAIN,
    ERROR,
    HOLDER,
    JOB,
    ORIGIN,
    SURPLUS,
    accepted,
    draw,
    origin_of,
)

BEAT_S = 30.0
# what Optuna raises where another process has ended the trial
TAKEN = (ValueError, RuntimeError)


@final
@dataclass
class InHand:
    """A trial of this process and those drawn since with the same parameters, of one job.

    steps, values  of the validations that were reported
    """

    trials: list[Trial]
    steps: set[int] = field(default_factory=set)
    values: list[float] = field(default_factory=list)

    def report(self, step: int, value: float) -> None:
        """The n-th new value of the metric is that of iteration n."""
        if step in self.steps:
            return
        self.steps.add(step)
        self.values.append(value)
        for trial in self.trials:
            with suppress(*TAKEN):
                trial.report(value, len(self.values))


@final
class StudySource(Source):
    """The trials of a study that are left, to be used inside a `with`.

    A trial that was cut off is run again before new ones are drawn, and its run goes on. It counts
    once, and so does one that failed and is tried again. A trial whose run has finished already
    takes that run's score. One that fails, or ends without a score, does not end the study.
    """

    def __init__(
        self,
        study: Study,
        space: Space,
        *,
        num_trials: int,
        seed: int,
        retry_failed: bool,
    ) -> None:
        self.num_jobs = self._num_trials = num_trials
        self.study = study
        self._space = space
        self._metric: Metric = space.file.metric
        self._hyperband: Hyperband | None = space.file.hyperband
        self._seed = seed
        self._retries_failed = retry_failed
        self._me = this_process()
        self._held: dict[str, InHand] = {}
        self._cut_off: list[Trial] = []
        self._left = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "StudySource":
        self.study.set_user_attr(_beat_of(self._me), time.time())
        self._beats.start()
        if self._retries_failed:
            for trial in accepted(self.study):
                if trial.state == TrialState.FAIL:
                    self._enqueue_again(trial)
        return self

    def __exit__(self, *error: object) -> None:
        """What this process leaves undone is for the next one."""
        held = [trial for held in self._held.values() for trial in held.trials]
        for trial in (*self._cut_off, *held):
            self._give_up(trial.number)
        self._left.set()
        self._beats.join()

    # ----------------------------------------------------------------------------- as a source
    def take(self) -> Job | None:
        self._give_up_lost()
        while True:
            trials = accepted(self.study)
            is_waiting = any(trial.state == TrialState.WAITING for trial in trials)
            if self._has_reached_target(trials):
                return None
            if not is_waiting and len(trials) >= self._num_trials:
                return None
            job = self._next()
            if job is not None:
                return job

    def look(self, job: Job, row: Mapping[str, Any]) -> bool:
        held = self._held.get(job.key)
        value = finite(row.get(self._metric.name))
        if held is None or value is None or row["step"] in held.steps:
            return True
        held.report(row["step"], value)
        return self._hyperband is None or not self._stops(self._hyperband, held)

    def ended(self, outcome: Outcome) -> None:
        held = self._held.pop(outcome.job.key)
        if outcome.ending == "interrupted":
            # not again in this process: what killed it may kill it each time
            self._cut_off += held.trials
            return
        if outcome.run is not None:
            # what was not looked at, as it ran before or elsewhere
            for step, value in history(outcome.run, self._metric.name).items():
                held.report(step, value)
        if outcome.ending == "pruned":
            for trial in held.trials:
                self._end(trial, TrialState.PRUNED)
        elif outcome.ending == "failed":
            told = outcome.record.get("error") or f"exit code {outcome.exit_code}"
            for trial in held.trials:
                self._end(trial, TrialState.FAIL, error=str(told))
        else:
            score = score_of(outcome.record, outcome.run, self._metric.name)
            for trial in held.trials:
                if score is None:
                    told = f"it ended without {self._metric.name}"
                    self._end(trial, TrialState.FAIL, error=told)
                else:
                    self._end(trial, TrialState.COMPLETE, score)

    # --------------------------------------------------------------------------------- drawing
    def _next(self) -> Job | None:
        """The job of a trial that is asked for; None where the trial needs none."""
        trial = self.study.ask()
        trial.set_user_attr(HOLDER, self._me._asdict())
        position = self._position(trial.number)
        if position is None or position >= self._num_trials:
            trial.set_user_attr(SURPLUS, True)
            self._end(trial, TrialState.FAIL)
            return None
        self.study.sampler = _sampler(self._space, self._seed, position)
        try:
            job = self._space.job(draw(self._space, trial))
        except UsageError as error:
            self._end(trial, TrialState.FAIL, error=error.what)
            return None
        trial.set_user_attr(JOB, job.name)
        if job.key in self._held:
            self._held[job.key].trials.append(trial)
            return None
        self._held[job.key] = InHand([trial])
        return job

    def _position(self, number: int) -> int | None:
        """From 0, the place of a trial among those that count; None where it does not."""
        trials = {trial.number: origin_of(trial) for trial in accepted(self.study)}
        if number not in trials:
            return None
        return sum(origin < trials[number] for origin in trials.values())

    def _has_reached_target(self, trials: Sequence[FrozenTrial]) -> bool:
        return any(
            trial.state == TrialState.COMPLETE and self._metric.reaches_target(trial.values[0])
            for trial in trials
        )

    # --------------------------------------------------------------------------------- pruning
    def _stops(self, hyperband: Hyperband, held: InHand) -> bool:
        sign = 1 if self._metric.goal == "minimize" else -1
        own_numbers = {trial.number for trial in held.trials}
        others = [
            [sign * value for _, value in sorted(trial.intermediate_values.items())]
            for trial in accepted(self.study)
            if trial.number not in own_numbers
        ]
        return hyperband.stops([sign * value for value in held.values], others)

    # ------------------------------------------------------------------------------ what is lost
    def _give_up_lost(self) -> None:
        """Trials whose process has died are for whoever asks next."""
        beats = self.study.user_attrs
        for trial in accepted(self.study):
            if trial.state == TrialState.RUNNING and self._is_lost(trial, beats):
                self._give_up(trial.number)

    def _is_lost(self, trial: FrozenTrial, beats: Mapping[str, Any]) -> bool:
        named = trial.user_attrs.get(HOLDER)
        if named is None:  # it has been drawn a moment ago, or its process died in that moment
            assert trial.datetime_start is not None
            return time.time() - trial.datetime_start.timestamp() > DEAD_AFTER_S
        holder = Holder(**named)
        if holder == self._me or is_alive(holder, time.time() - beats.get(_beat_of(holder), 0)):
            return False
        try:
            found = self._space.job(draw(self._space, FixedTrial(trial.params))).find()
        except (UsageError, ValueError):  # it was not drawn to the end
            return True
        # a job may outlive the sweep that started it
        return found is None or found.state != "running"

    def _give_up(self, number: int) -> None:
        """End a trial and put another in its place; of several processes one does."""
        try:
            self.study.tell(number, state=TrialState.FAIL)
        except TAKEN:
            return
        (trial,) = (trial for trial in self.study.trials if trial.number == number)
        self._enqueue_again(trial)

    def _enqueue_again(self, trial: FrozenTrial) -> None:
        attributes = {AGAIN: trial.number, ORIGIN: origin_of(trial)}
        self.study.enqueue_trial(trial.params, user_attrs=attributes)

    def _end(
        self, trial: Trial, state: TrialState, value: float | None = None, *, error: str = ""
    ) -> None:
        with suppress(*TAKEN):
            if error:
                trial.set_user_attr(ERROR, error)
            self.study.tell(trial, value, state)

    def _beat(self) -> None:
        while not self._left.wait(BEAT_S):
            with suppress(Exception):  # the database may be back at the next one
                self.study.set_user_attr(_beat_of(self._me), time.time())


def examples(space: Space, num_trials: int, seed: int) -> list[Job]:
    """The first trials of a new study. Raises UsageError where one does not compose."""
    study = create_study()
    jobs = []
    for position in range(num_trials):
        trial = study.ask()
        study.sampler = _sampler(space, seed, position)
        jobs.append(space.job(draw(space, trial)))
    return jobs


def _sampler(space: Space, seed: int, position: int) -> BaseSampler:
    seed = zlib.crc32(f"{seed} {position}".encode())
    return RandomSampler(seed) if space.file.method == "random" else TPESampler(seed=seed)


def _beat_of(holder: Holder) -> str:
    return f"alive {holder.host} {holder.pid} {holder.started}"
