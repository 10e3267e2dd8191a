"""The trials of an Optuna study: which ones count, what they were, what came of them.

What a trial is beside its parameters and score stands in its user attributes:

    holder   the process that has it, as charlab.claims tells processes apart
    job      the name of its run directory
    again    the number of the trial that it takes the place of: one that was cut off, or failed
    origin   the number of the first trial in that line
    surplus  drawn by two processes at once as the last one; it counts for nothing
    error    why it failed
"""

from collections.abc import Iterator

from optuna.study import Study, StudyDirection
from optuna.trial import BaseTrial, FixedTrial, FrozenTrial, TrialState

from charlab.sweeps.definition.distributions import Scalar
from charlab.sweeps.search.space import Space
from charlab.sweeps.search.tuning import Ended, Tried

HOLDER, JOB, AGAIN, ORIGIN = "holder", "job", "again", "origin"
SURPLUS, ERROR = "surplus", "error"
ENDINGS: dict[TrialState, Ended] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


def draw(space: Space, trial: BaseTrial) -> dict[str, Scalar]:
    """The value of each parameter."""
    return {name: parameter.draw(name, trial) for name, parameter in space.parameters.items()}


def accepted(study: Study) -> list[FrozenTrial]:
    """The trials that count, in the order of their numbers: each line of retries once."""
    trials = study.get_trials(deepcopy=False)
    heirs: dict[int, int] = {}
    for trial in trials:
        if AGAIN in trial.user_attrs:
            heirs.setdefault(trial.user_attrs[AGAIN], trial.number)
    return [
        trial
        for trial in trials
        if SURPLUS not in trial.user_attrs
        and trial.number not in heirs
        and heirs.get(trial.user_attrs.get(AGAIN, -1), trial.number) == trial.number
    ]


def num_open(study: Study) -> int:
    """The trials that wait or run, here or elsewhere."""
    return sum(not trial.state.is_finished() for trial in accepted(study))


def tried(study: Study, space: Space) -> Iterator[Tried]:
    """The trials of a study that are over, in the order in which they were drawn."""
    for trial in sorted(accepted(study), key=origin_of):
        if trial.state.is_finished():
            yield Tried(
                score=_score(trial, study),
                ending=ENDINGS[trial.state],
                settings=_settings(trial, space),
                error=str(trial.user_attrs.get(ERROR, "")),
            )


def _settings(trial: FrozenTrial, space: Space) -> dict[str, Scalar]:
    """What was searched over; empty where the trial was not drawn to its end."""
    searched = [
        name for name, parameter in space.parameters.items() if len(parameter.corners()) > 1
    ]
    try:
        values = draw(space, FixedTrial(trial.params))
    except ValueError:
        return {}
    return {name: values[name] for name in searched}


def _score(trial: FrozenTrial, study: Study) -> float | None:
    """The best validation of one that was pruned."""
    if trial.state == TrialState.COMPLETE:
        return float(trial.values[0])
    reported = trial.intermediate_values.values()
    if trial.state != TrialState.PRUNED or not reported:
        return None
    return min(reported) if study.direction == StudyDirection.MINIMIZE else max(reported)


def origin_of(trial: FrozenTrial) -> int:
    return int(trial.user_attrs.get(ORIGIN, trial.number))
