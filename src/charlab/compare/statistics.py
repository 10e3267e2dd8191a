"""Intervals of the mean of a few numbers: scores over seeds, differences by seed.

Seeds are few, and a plain percentile bootstrap of 3 numbers covers their mean in 75 % of cases, not
95 %. This one is smoothed, so that it can leave the range of the numbers, and stretched from the
normal distribution's quantile to that of Student's t. What each way covers:
benchmarks/bootstrap_coverage.py. numpy alone, and nothing is drawn.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
# of standard deviations, how far the distribution of a mean reaches
REACH = 12.0
# beyond it the characteristic function of a standard normal is below 1e-11
MAX_FREQUENCY = 7.2
# until Newton's steps are safe, and these until nothing changes
HALVINGS = 12
NEWTON_STEPS = 3
TINY = 1e-300
# of Student's distribution
MOST_HALVINGS = 90
# seeds that nobody will run
MANY_SEEDS = 500


def mean_intervals(values_PN: Numbers, confidence: float) -> tuple[Numbers, Numbers]:
    """Low and high [P] of the mean of each row of N >= 2 numbers.

    Resample a row with replacement and add to each draw normal noise of variance s^2 / N, which
    gives draws the variance s^2 of the row (Silverman & Young 1987); q is a quantile of the mean of
    N draws, m the mean of the row. The ends of the interval are

        m + (q - m) t / z

    with the quantiles t of Student's distribution and z of the normal one at the same level.
    """
    num_rows, n = values_PN.shape
    mean_P1 = values_PN.mean(axis=1, keepdims=True)
    sd_P1 = values_PN.std(axis=1, ddof=1, keepdims=True)
    level = (1 + confidence) / 2
    stretch = student_quantile(level, n - 1) / NormalDist().inv_cdf(level)
    is_spread_P = sd_P1[:, 0] > 1e-12 * np.abs(values_PN).max(axis=1)
    ends_2P = np.zeros((2, num_rows))
    if is_spread_P.any():
        standard_PN = ((values_PN - mean_P1)[is_spread_P]) / sd_P1[is_spread_P]
        ends_2P[:, is_spread_P] = _smoothed_quantiles(standard_PN, (1 - level, level))
    low_P, high_P = mean_P1[:, 0] + ends_2P * sd_P1[:, 0] * stretch
    return low_P, high_P


def mean_interval(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """As `mean_intervals`, of one row."""
    low_P, high_P = mean_intervals(np.array([values], dtype=np.float64), confidence)
    return float(low_P[0]), float(high_P[0])


def _smoothed_quantiles(standard_PN: Numbers, levels: Sequence[float]) -> Numbers:
    """[levels, P]: quantiles of the mean of N smoothed draws from rows of mean 0 and variance 1.

    From its characteristic function, as if there were infinitely many resamples: with
    y = standard / N,

        phi(u) = (mean over j of exp(i u y_j))^N exp(-u^2 / 2 N^2)
        F(x)   = 1/2 - 1/pi  integral over u > 0 of  Im(exp(-i u x) phi(u)) / u   (Gil-Pelaez 1951)
    """
    n = standard_PN.shape[1]
    width = REACH / math.sqrt(n)
    step = math.pi / width
    u_K = (np.arange(math.ceil(MAX_FREQUENCY * n / step)) + 0.5) * step
    resampled_PK = np.exp(1j * standard_PN[:, None, :] * u_K[:, None] / n).mean(axis=2) ** n
    phi_PK = resampled_PK * np.exp(-(u_K**2) / (2 * n**2))

    def at(x_P: Numbers) -> tuple[Numbers, Numbers]:
        """F and its derivative."""
        waves_PK = np.exp(-1j * x_P[:, None] * u_K) * phi_PK
        below_P = 0.5 - (waves_PK.imag / u_K).sum(axis=1) * step / math.pi
        return below_P, waves_PK.real.sum(axis=1) * step / math.pi

    found = []
    for level in levels:
        low_P, high_P = np.full(len(phi_PK), -width), np.full(len(phi_PK), width)
        for _ in range(HALVINGS):
            middle_P = (low_P + high_P) / 2
            is_below_P = at(middle_P)[0] < level
            low_P = np.where(is_below_P, middle_P, low_P)
            high_P = np.where(is_below_P, high_P, middle_P)
        x_P = (low_P + high_P) / 2
        for _ in range(NEWTON_STEPS):
            below_P, density_P = at(x_P)
            x_P = np.clip(x_P - (below_P - level) / np.maximum(density_P, TINY), low_P, high_P)
        found.append(x_P)
    return np.array(found)


@cache
def student_quantile(level: float, degrees: int) -> float:
    """Of Student's t with an integer number of degrees of freedom, for level > 1/2."""
    low, high = 0.0, 1.0
    while student_cdf(high, degrees) < level:
        high *= 2
    for _ in range(MOST_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if student_cdf(middle, degrees) < level else (low, middle)
    return (low + high) / 2


def student_cdf(t: float, degrees: int) -> float:
    """P(T <= t): a finite sum for an integer number of degrees (Abramowitz & Stegun 26.7.3-4)."""
    theta = math.atan(t / math.sqrt(degrees))
    cos2 = math.cos(theta) ** 2
    is_odd = degrees % 2 == 1
    term = math.cos(theta) if is_odd else 1.0
    terms = 0.0
    for k in range(3 if is_odd else 2, degrees + 1, 2):
        terms += term
        term *= cos2 * (k - 1) / k
    inside = math.sin(theta) * terms
    return 0.5 + ((theta + inside) / math.pi if is_odd else inside / 2)


def seeds_to_show(
    difference: float, sd: float, confidence: float, power: float = 0.8
) -> int | None:
    """Seeds with which such a difference has its interval beside zero, with the chance `power`.

    None for more than MANY_SEEDS.
    """

    def shows(n: int) -> bool:
        level = (1 + confidence) / 2
        wanted = student_quantile(level, n - 1) + student_quantile(power, n - 1)
        return abs(difference) * math.sqrt(n) >= wanted * sd

    found = bisect_left(range(2, MANY_SEEDS + 1), True, key=shows) + 2
    return found if found <= MANY_SEEDS else None
