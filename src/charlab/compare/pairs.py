"""Each two variants of a set, seed by seed."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean, stdev
from typing import NamedTuple, final

import numpy as np

from charlab.compare.comparison import Pair, Verdict
from charlab.compare.sentences import LEAST, pair_sentence
from charlab.compare.statistics import mean_intervals, seeds_to_show, student_quantile

# fewer say next to nothing of how far seeds scatter
LEAST_TO_PLAN = 3


@final
class _Two(NamedTuple):
    better: str
    worse: str
    differences: list[float]
    difference: float


def pair_all(
    scores: Sequence[tuple[str, Mapping[int, float]]], unit: str, confidence: float
) -> list[Pair]:
    """The pairs of variants, given as label and score by seed; the largest difference first."""
    twos = [_two(*one, *other) for one, other in combinations(scores, 2)]
    twos.sort(key=lambda two: -two.difference)
    own = _intervals(twos, confidence)
    num_judged = max(1, len(own))
    level = 1 - (1 - confidence) / num_judged
    of_all = _intervals(twos, level)
    least = {
        place: min(low, _student_low(twos[place], level)) for place, (low, _) in of_all.items()
    }
    return [
        _pair(two, own.get(place), least.get(place), unit, confidence, num_judged)
        for place, two in enumerate(twos)
    ]


def _student_low(two: _Two, level: float) -> float:
    """Far out in the tail, where many pairs put the level, the smoothed interval is too narrow."""
    n = len(two.differences)
    sd = float(np.std(two.differences, ddof=1))
    return two.difference - student_quantile((1 + level) / 2, n - 1) * sd / math.sqrt(n)


def _two(
    label: str, scores: Mapping[int, float], other_label: str, other_scores: Mapping[int, float]
) -> _Two:
    shared = sorted(scores.keys() & other_scores.keys())
    if shared:
        differences = [other_scores[seed] - scores[seed] for seed in shared]
        mean = fmean(differences)
    else:
        differences = []
        mean = fmean(other_scores.values()) - fmean(scores.values())
    if mean < 0:
        return _Two(other_label, label, [-one for one in differences], -mean)
    return _Two(label, other_label, differences, mean)


def _intervals(twos: Sequence[_Two], confidence: float) -> dict[int, tuple[float, float]]:
    """By place; those with as many seeds at once."""
    by_number: dict[int, list[int]] = defaultdict(list)
    for place, two in enumerate(twos):
        if len(two.differences) >= 2:
            by_number[len(two.differences)].append(place)
    found: dict[int, tuple[float, float]] = {}
    for places in by_number.values():
        values = np.array([twos[place].differences for place in places])
        lows, highs = mean_intervals(values, confidence)
        found |= {p: (float(low), float(high)) for p, low, high in zip(places, lows, highs)}
    return found


def _pair(
    two: _Two,
    own: tuple[float, float] | None,
    least_of_all: float | None,
    unit: str,
    confidence: float,
    num_pairs: int,
) -> Pair:
    verdict: Verdict = "few"
    needed = None
    n = len(two.differences)
    if own is not None and least_of_all is not None:
        verdict = "beats" if least_of_all > LEAST else "alone" if own[0] > LEAST else "close"
        if verdict != "beats" and n >= LEAST_TO_PLAN and two.difference > LEAST:
            sd = stdev(two.differences)
            needed = seeds_to_show(two.difference, sd, 1 - (1 - confidence) / num_pairs)
            needed = None if needed is None else max(needed, n + 1)
    sentence = pair_sentence(
        two.better,
        two.worse,
        unit=unit,
        n=n,
        difference=two.difference,
        ends=own,
        verdict=verdict,
        num_pairs=num_pairs,
        num_needed=needed,
    )
    low, high = own if own is not None else (None, None)
    return Pair(
        two.better, two.worse, n, two.difference, low, high, verdict, sentence, seeds_needed=needed
    )
