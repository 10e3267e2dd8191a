"""Intervals of the mean of a few numbers, against all resamples and tables of Student's t."""

import itertools
import math
import statistics
from statistics import NormalDist

import mpmath
import numpy as np
import pytest

from charlab.compare.statistics import (
    mean_interval,
    mean_intervals,
    seeds_to_show,
    student_cdf,
    student_quantile,
)


# Fisher's table: two-sided 5 % and 1 %
@pytest.mark.parametrize(
    ("degrees", "five", "one"),
    [
        (1, 12.706, 63.657),
        (2, 4.303, 9.925),
        (3, 3.182, 5.841),
        (4, 2.776, 4.604),
        (9, 2.262, 3.250),
        (30, 2.042, 2.750),
        (120, 1.980, 2.617),
    ],
)
def test_students_quantiles_are_those_of_the_tables(degrees, five, one):
    assert student_quantile(0.975, degrees) == pytest.approx(five, abs=6e-4)
    assert student_quantile(0.995, degrees) == pytest.approx(one, abs=6e-4)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 10, 49])
@pytest.mark.parametrize("t", [0.1, 1.0, 2.5, 40.0])
def test_students_distribution_is_the_integral_of_its_density(degrees, t):
    def density(x):
        scale = mpmath.sqrt(degrees) * mpmath.beta(mpmath.mpf(1) / 2, mpmath.mpf(degrees) / 2)
        return (1 + x * x / degrees) ** (-mpmath.mpf(degrees + 1) / 2) / scale

    integral = mpmath.quad(density, [0, t / 4, t]) + mpmath.mpf(1) / 2
    assert student_cdf(t, degrees) == pytest.approx(float(integral), abs=1e-12)


def all_resamples(values, x):
    """P(mean of a smoothed resample <= x), over each of the n^n ordinary resamples."""
    n, noise = len(values), statistics.stdev(values) / len(values)
    means = (statistics.fmean(drawn) for drawn in itertools.product(values, repeat=n))
    return statistics.fmean(NormalDist(mean, noise).cdf(x) for mean in means)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
@pytest.mark.parametrize(
    "values",
    [[0.0, 1.0], [3.28, 3.27, 3.31], [-1.0, 0.0, 0.5, 20.0], [1e-4, 2e-4, 2e-4, 5e-4, 1e-3]],
)
def test_an_interval_is_that_of_all_resamples(values, confidence):
    low, high = mean_interval(values, confidence)
    level = (1 + confidence) / 2
    mean = statistics.fmean(values)
    stretch = student_quantile(level, len(values) - 1) / NormalDist().inv_cdf(level)
    # what was stretched from the mean, moved back
    assert all_resamples(values, mean + (low - mean) / stretch) == pytest.approx(
        1 - level, abs=1e-7
    )
    assert all_resamples(values, mean + (high - mean) / stretch) == pytest.approx(level, abs=1e-7)


def test_an_interval_moves_and_grows_with_its_numbers():
    values = [3.1, 3.4, 3.2, 3.25, 3.9]
    low, high = mean_interval(values, 0.95)
    moved = mean_interval([10 * value - 7 for value in values], 0.95)
    assert moved == pytest.approx((10 * low - 7, 10 * high - 7), rel=1e-9)
    mirrored = mean_interval([-value for value in values], 0.95)
    assert mirrored == pytest.approx((-high, -low), rel=1e-9)
    mean = statistics.fmean(values)
    # 3.9 is far out: the interval reaches further to its side
    assert high - mean > 1.1 * (mean - low)
    wider = mean_interval(values, 0.99)
    assert wider[0] < low < mean < high < wider[1]


def test_rows_do_not_see_each_other():
    rows = np.random.default_rng(0).normal(size=(7, 6))
    lows, highs = mean_intervals(rows, 0.9)
    for row, low, high in zip(rows, lows, highs):
        assert mean_interval(list(row), 0.9) == pytest.approx((low, high), abs=1e-12)


def test_equal_numbers_have_an_interval_of_no_width():
    assert mean_interval([3.3, 3.3, 3.3], 0.95) == pytest.approx((3.3, 3.3), abs=1e-15)
    lows, highs = mean_intervals(np.array([[0.0, 0.0], [1.0, 2.0]]), 0.95)
    assert (lows[0], highs[0]) == (0.0, 0.0)
    assert lows[1] < 1.5 < highs[1]


def test_of_many_numbers_it_is_the_interval_of_the_central_limit():
    values = np.random.default_rng(1).normal(2.0, 3.0, size=400)
    low, high = mean_interval(list(values), 0.95)
    half = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)


DRAWS = {
    "normal": (lambda generator, size: generator.normal(size=size), 0.0),
    "exponential": (lambda generator, size: generator.exponential(size=size), 1.0),
    "of two scores": (
        lambda generator, size: generator.gamma(4, size=size) - generator.gamma(9, size=size),
        -5.0,
    ),
}


@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize("kind", DRAWS)
def test_it_covers_the_mean_as_often_as_it_says(kind, n):
    draw, mean = DRAWS[kind]
    lows, highs = mean_intervals(draw(np.random.default_rng(3), (3000, n)), 0.95)
    covered = np.mean((lows <= mean) & (mean <= highs))
    # 3,000 rows: 0.004 is a standard error. Skewed as an exponential is, nothing covers 95 %
    assert (0.93 if kind != "exponential" else 0.86) < covered < 0.97


@pytest.mark.parametrize("difference", [0.5, -0.5])
def test_the_seeds_to_show_a_difference_show_it_four_times_of_five(difference):
    needed = seeds_to_show(difference, 1.0, 0.95)
    assert needed == 34  # (t(0.975) + t(0.8))^2 / 0.25 with 33 degrees of freedom is 33.1
    drawn = np.random.default_rng(4).normal(0.5, 1.0, size=(1500, needed))
    lows, _ = mean_intervals(drawn, 0.95)
    assert np.mean(lows > 0) == pytest.approx(0.8, abs=0.03)


def test_no_number_of_seeds_shows_what_is_not_there():
    assert seeds_to_show(0.0, 1.0, 0.95) is None
    assert seeds_to_show(1e-6, 1.0, 0.95) is None
    assert seeds_to_show(9.0, 1.0, 0.95) == 3
