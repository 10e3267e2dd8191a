"""The expected best of k trials, against all ways to draw them."""

import io
import itertools
import math
import random

import pytest
from rich.console import Console

from charlab.sweeps.definition.files import Metric
from charlab.sweeps.search.tuning import Tried, best_of_k, counted_scores, show_tuning


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
@pytest.mark.parametrize("scores", [[2.5], [3, 1, 2], [2, 2, 1, 5], [0.3, -1, 0.3, 7, 7]])
def test_best_of_k_is_the_mean_over_all_draws(scores, goal):
    """Brute force: each of the n^k ways to draw k of n with replacement is as likely."""
    best = min if goal == "minimize" else max
    found = best_of_k(scores, goal)
    assert len(found) == len(scores)
    for k, value in enumerate(found, 1):
        draws = [best(drawn) for drawn in itertools.product(scores, repeat=k)]
        assert value == pytest.approx(math.fsum(draws) / len(draws), rel=1e-12)


def test_best_of_k_of_many():
    generator = random.Random(0)
    scores = [generator.gauss(3, 1) for _ in range(300)]
    found = best_of_k(scores, "minimize")
    assert found[0] == pytest.approx(sum(scores) / 300)
    assert found == sorted(found, reverse=True)
    assert min(scores) < found[-1] < sorted(scores)[3]
    assert best_of_k([], "minimize") == []
    mirrored = best_of_k([-score for score in scores], "maximize")
    assert mirrored == pytest.approx([-value for value in found])


def tried(*scores):
    return [
        Tried(score, "failed" if score is None else "finished", {"optimizer.lr": 0.1 * i})
        for i, score in enumerate(scores, 1)
    ]


def test_a_trial_that_failed_counts_as_the_worst():
    assert counted_scores(tried(2, None, 3), "minimize") == [2, 3, 3]
    assert counted_scores(tried(2, None, 3), "maximize") == [2, 2, 3]
    assert counted_scores(tried(None), "minimize") == []
    assert counted_scores([], "minimize") == []


def shown(cells, metric):
    stream = io.StringIO()
    show_tuning(Console(file=stream, width=120), cells, metric)
    return stream.getvalue()


def test_the_table():
    cells = {"model=gru": tried(2, None, 3, 2.5), "model=lstm": tried(2.75, 2.25, 4, 3)}
    text = shown(cells, Metric())
    head, gru, lstm = (line.split() for line in text.splitlines()[2:])
    assert head[:8] == ["trials", "pruned", "failed", "best", "k=1", "k=2", "k=3", "k=4"]
    assert gru[:6] == ["model=gru", "4", "0", "1", "2.0000", "2.6250"]
    assert lstm[:6] == ["model=lstm", "4", "0", "0", "2.2500", "3.0000"]
    assert gru[-1] == "lr=0.1"
    assert lstm[-1] == "lr=0.2"
    assert "different numbers" not in text


def test_the_table_of_cells_that_are_not_through():
    text = shown({"a": tried(2, 1), "b": [], "c": tried(None)}, Metric(goal="maximize"))
    assert "these have had different numbers of trials" in text
    assert "2.0000" in text
    assert shown({"a": []}, Metric()).count("\n") >= 2
