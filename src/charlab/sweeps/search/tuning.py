"""Tuning effort: the best score to expect of k trials, where each part had the same number of them.

A part is a value of the option of `--per`, mostly a cell. Which of two is better may turn on how
long each was tuned. So the score is given as a function of the number of trials (Dodge et al. 2019,
"Show Your Work"), not only of the best one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from charlab.sweeps.definition.distributions import Scalar, as_text
from charlab.sweeps.definition.files import Goal, Metric

Ended = Literal["finished", "pruned", "failed"]
# the numbers of trials that have a column
SHOWN = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)


@final
@dataclass(frozen=True)
class Tried:
    """A trial that is over.

    score     the best one on validation up to where it ended; None where it failed
    settings  the values of what was searched over
    """

    score: float | None
    ending: Ended
    settings: Mapping[str, Scalar]
    error: str = ""


def best_of_k(scores: Sequence[float], goal: Goal) -> list[float]:
    """The expected best of k scores for k = 1, ..., n, where n is their number.

    The k are drawn from the n with replacement (Dodge et al. 2019): with the scores sorted
    from worst to best, v_1, ..., v_n,

        E[best of k] = sum_i v_i ((i/n)^k - ((i-1)/n)^k)

    exactly, ties included. Scores may be infinite (a trial that failed, say): so is the mean then.
    """
    n = len(scores)
    ascending = sorted(scores, reverse=goal == "minimize")
    return [
        math.fsum(
            score * ((rank / n) ** k - ((rank - 1) / n) ** k)
            for rank, score in enumerate(ascending, 1)
        )
        for k in range(1, n + 1)
    ]


def counted_scores(trials: Sequence[Tried], goal: Goal) -> list[float]:
    """A score for each trial; one that failed has the worst of the others.

    Left out, it would make a part look better that fails often. Empty where all failed.
    """
    scores = [trial.score for trial in trials if trial.score is not None]
    if not scores:
        return []
    worst = max(scores) if goal == "minimize" else min(scores)
    return [worst if trial.score is None else trial.score for trial in trials]


def show_tuning(console: Console, parts: Mapping[str, Sequence[Tried]], metric: Metric) -> None:
    """A row for each part: its trials, the best, and what to expect of k trials."""
    most = max((len(trials) for trials in parts.values()), default=0)
    columns = [k for k in SHOWN if k < most] + ([most] if most else [])
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for heading in ("trials", "pruned", "failed", "best", *(f"k={k}" for k in columns)):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("settings of the best", overflow="fold")
    for part, trials in parts.items():
        table.add_row(*_row(part, trials, metric, columns))
    console.print(f"\n[bold]the best {metric.name} to expect of k of these trials[/]")
    console.print(table)
    if len({len(trials) for trials in parts.values()}) > 1:
        console.print(Text("these have had different numbers of trials", style="yellow"))


def _row(
    part: str, trials: Sequence[Tried], metric: Metric, columns: Sequence[int]
) -> list[Text | str]:
    counts = [len(trials), *(_count(trials, ending) for ending in ("pruned", "failed"))]
    scores = counted_scores(trials, metric.goal)
    expected = best_of_k(scores, metric.goal)
    means = [f"{expected[k - 1]:.4f}" if k <= len(expected) else "" for k in columns]
    best, settings = "", ""
    if scored := [trial for trial in trials if trial.score is not None]:
        sign = 1 if metric.goal == "minimize" else -1
        first = min(scored, key=lambda trial: sign * (trial.score or 0.0))
        best = f"{first.score:.4f}"
        settings = " ".join(
            f"{name.rpartition('.')[2]}={as_text(value)}" for name, value in first.settings.items()
        )
    return [Text(part), *(str(count) for count in counts), best, *means, Text(settings)]


def _count(trials: Sequence[Tried], ending: Ended) -> int:
    return sum(trial.ending == ending for trial in trials)
