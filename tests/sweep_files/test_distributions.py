"""Draws, ends and grids of every distribution, against other ways to work them out."""

import math
import random

import numpy as np
import pytest

pytest.importorskip("optuna")
from optuna.samplers import RandomSampler, TPESampler
from optuna.study import create_study

from charlab.sweeps.definition.parameters import KINDS, read_parameters
from charlab.sweeps.definition.quantiles import beta_cdf, beta_quantile, normal_quantile

NUM_DRAWS = 1500
# Of each distribution some parameters, and how Python draws from it.
DRAWN = [
    ({"distribution": "uniform", "min": -1, "max": 2.5}, lambda r: r.uniform(-1, 2.5)),
    ({"min": 0.5, "max": 2}, lambda r: r.uniform(0.5, 2)),
    ({"min": 3, "max": 9}, lambda r: r.randint(3, 9)),
    ({"distribution": "log_uniform", "min": -7, "max": -2}, lambda r: math.exp(r.uniform(-7, -2))),
    (
        {"distribution": "log_uniform_values", "min": 1.0e-4, "max": 0.1},
        lambda r: 10 ** r.uniform(-4, -1),
    ),
    (
        {"distribution": "inv_log_uniform", "min": 1, "max": 5},
        lambda r: 1 / math.exp(r.uniform(1, 5)),
    ),
    (
        {"distribution": "inv_log_uniform_values", "min": 0.01, "max": 10},
        lambda r: 1 / math.exp(r.uniform(math.log(0.1), math.log(100))),
    ),
    ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25}, lambda r: to(0.25, r.random())),
    (
        {"distribution": "q_log_uniform_values", "min": 16, "max": 512, "q": 16},
        lambda r: to(16, 2 ** r.uniform(4, 9)),
    ),
    (
        {"distribution": "q_log_uniform", "min": 1, "max": 4},
        lambda r: to(1, math.exp(r.uniform(1, 4))),
    ),
    ({"distribution": "normal", "mu": 3, "sigma": 0.5}, lambda r: r.gauss(3, 0.5)),
    ({"distribution": "q_normal", "sigma": 4, "q": 2}, lambda r: to(2, r.gauss(0, 4))),
    ({"distribution": "log_normal", "mu": -1}, lambda r: r.lognormvariate(-1, 1)),
    (
        {"distribution": "q_log_normal", "mu": 3, "q": 5},
        lambda r: to(5, r.lognormvariate(3, 1)),
    ),
    ({"distribution": "beta", "a": 2, "b": 5}, lambda r: r.betavariate(2, 5)),
    ({"distribution": "beta", "a": 0.5, "b": 0.7}, lambda r: r.betavariate(0.5, 0.7)),
    (
        {"distribution": "q_beta", "a": 2, "b": 2, "q": 0.1},
        lambda r: to(0.1, r.betavariate(2, 2)),
    ),
    (
        {"values": [1, 5, 7], "probabilities": [0.6, 0.3, 0.1]},
        lambda r: r.choices([1, 5, 7], [0.6, 0.3, 0.1])[0],
    ),
    ({"values": [16, 32, 64]}, lambda r: r.choice([16, 32, 64])),
]


def to(q, value):
    return round(round(value / q) * q, 9)


def parameter(given):
    return read_parameters({"x": given})["x"]


def draws(given, sampler, count=NUM_DRAWS):
    """By one study; Optuna's random sampler does not learn."""
    study, found = create_study(sampler=sampler), []
    one = parameter(given)
    for _ in range(count):
        trial = study.ask()
        found.append(one.draw("x", trial))
        study.tell(trial, float(found[-1]))
    return found


def largest_gap(a, b):
    """That of Kolmogorov and Smirnov between two samples, ties included."""
    places = np.unique([*a, *b])
    parts = [np.searchsorted(np.sort(s), places, side="right") / len(s) for s in (a, b)]
    return np.abs(parts[0] - parts[1]).max()


def test_each_distribution_is_drawn_from():
    def named(given):
        if "values" in given:
            return "categorical_w_probabilities" if "probabilities" in given else "categorical"
        is_whole = isinstance(given["min"], int) and isinstance(given["max"], int)
        return "int_uniform" if is_whole else "uniform"

    assert {given.get("distribution") or named(given) for given, _ in DRAWN} | {"constant"} == {
        *KINDS
    }


@pytest.mark.parametrize(
    ("given", "by_python"), DRAWN, ids=lambda x: str(x)[:60] if isinstance(x, dict) else ""
)
def test_draws_are_of_the_distribution(given, by_python):
    found = draws(given, RandomSampler(0))
    generator = random.Random(1)
    expected = [by_python(generator) for _ in range(20 * NUM_DRAWS)]
    # 1.95 sqrt(1/n + 1/m): one in a thousand is further off
    limit = 1.95 * math.sqrt((1 + 1 / 20) / NUM_DRAWS)
    assert largest_gap(np.asarray(found, float), np.asarray(expected, float)) < limit


def bounded():
    return [given for given, _ in DRAWN if {"min", "values"} & set(given)]


@pytest.mark.parametrize("given", bounded(), ids=lambda given: str(given)[:60])
def test_a_search_by_scores_stays_between_the_corners(given):
    """With trials to learn from, which draw it to the lower end."""
    found = draws(given, TPESampler(seed=0, n_startup_trials=5), 30)
    corners = parameter(given).corners()
    assert min(corners) <= min(found) <= max(found) <= max(corners)


def test_numbers_have_six_digits_and_stay_in_their_range():
    found = draws({"distribution": "log_uniform_values", "min": 1.0e-5, "max": 0.1}, None, 50)
    assert found == [float(f"{value:.6g}") for value in found]
    narrow = parameter({"min": 0.1234564, "max": 0.9999999})
    low, high = narrow.corners()
    assert (low, high) == (0.1234564, 0.9999999), "where rounding would leave the range"


@pytest.mark.parametrize(
    ("given", "value", "kind"),
    [
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.1}, 0.3, float),
        ({"distribution": "q_uniform", "min": 0, "max": 96, "q": 32}, 32, int),
        ({"distribution": "q_uniform", "min": 0.0, "max": 9.0}, 3, int),
    ],
)
def test_multiples_are_exact_and_whole_where_q_is(given, value, kind):
    """An option that is a whole number takes no 32.0, and 0.30000000000000004 has another hash."""
    (found,) = {one for one in draws(given, RandomSampler(0), 200) if math.isclose(one, value)}
    assert str(found) == str(value)
    assert type(found) is kind


def test_a_choice_keeps_texts_and_truth_apart_from_numbers():
    """To Optuna 1, 1.0 and true are one value."""
    values = [1, True, "1.0", "gru"]
    found = draws_of_choice({"values": values})
    assert {(type(value), value) for value in found} == {(type(value), value) for value in values}


def draws_of_choice(given):
    study, one = create_study(sampler=RandomSampler(0)), parameter(given)
    return [one.draw("x", study.ask()) for _ in range(60)]


@pytest.mark.parametrize(
    ("given", "grid"),
    [
        ({"value": 3}, [3]),
        ({"values": ["b", "a"]}, ["b", "a"]),
        ({"min": 2, "max": 5}, [2, 3, 4, 5]),
        # as W&B counts: numpy.arange, which leaves the end out
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.2}, [0, 0.2, 0.4, 0.6, 0.8]),
        ({"distribution": "q_uniform", "min": 1, "max": 8.5, "q": 3}, [1, 4, 7]),
        ({"distribution": "log_uniform_values", "min": 1, "max": 2}, None),
        ({"distribution": "normal"}, None),
        ({"min": 0.5, "max": 1}, None),
    ],
)
def test_what_a_grid_takes(given, grid):
    found = parameter(given).grid()
    assert (None if found is None else list(found)) == grid


@pytest.mark.parametrize("part", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_quantiles_of_beta(part):
    """Where they have a closed form."""
    assert beta_quantile(part, 1, 1) == pytest.approx(part, abs=1e-11)
    assert beta_quantile(part, 3, 1) == pytest.approx(part ** (1 / 3), abs=1e-11)
    assert beta_quantile(part, 1, 4) == pytest.approx(1 - (1 - part) ** 0.25, abs=1e-11)
    arcsine = math.sin(math.pi * part / 2) ** 2
    assert beta_quantile(part, 0.5, 0.5) == pytest.approx(arcsine, abs=1e-11)
    # a binomial sum (DLMF 8.17.5)
    n, k = 40, 13
    terms = (math.comb(n, j) * part**j * (1 - part) ** (n - j) for j in range(k, n + 1))
    assert beta_cdf(part, k, n - k + 1) == pytest.approx(sum(terms), rel=1e-11)


def test_quantiles_at_the_ends_are_finite():
    assert -7 < normal_quantile(0, 0, 1) < -5
    assert 5 < normal_quantile(1, 0, 1) < 7
    assert normal_quantile(0.3, 2, 0) == 2
    assert 0 <= beta_quantile(0, 2, 2) < beta_quantile(1, 2, 2) <= 1
    assert [beta_cdf(x, 2, 3) for x in (-1, 0, 1, 2)] == [0, 0, 1, 1]
