"""Quantiles of the distributions that Optuna does not have: normal and beta."""

import math
from collections.abc import Callable
from statistics import NormalDist

# probabilities this far from 0 and 1 stand for them: those of a normal distribution are infinite
TAIL = 1e-9
# terms of the continued fraction; a few dozen are needed for a, b of thousands
MAX_TERMS = 500


def normal_quantile(probability: float, mu: float, sigma: float) -> float:
    """x with P(X <= x) = probability, for X normal with mean mu and standard deviation sigma."""
    if sigma == 0:
        return mu
    return NormalDist(mu, sigma).inv_cdf(_inside(probability))


def beta_quantile(probability: float, a: float, b: float) -> float:
    """x with I_x(a, b) = probability, to 1e-12."""
    probability = _inside(probability)
    return _bisect(lambda x: beta_cdf(x, a, b) < probability)


def beta_cdf(x: float, a: float, b: float) -> float:
    """I_x(a, b), the regularised incomplete beta function (DLMF 8.17), for a, b > 0."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast below: DLMF 8.17.4
        return 1 - beta_cdf(1 - x, b, a)
    log_factor = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    return math.exp(log_factor) / a / _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """1 + d1/(1 + d2/(1 + ...)) of DLMF 8.17.22, by the modified method of Lentz."""
    tiny = 1e-300
    value, c, d = 1.0, 1.0, 0.0
    for n in range(1, MAX_TERMS):
        m = n // 2
        if n % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + term * d or tiny)
        c = 1 + term / c or tiny
        value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def _bisect(is_below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    while high - low > 1e-13 * max(high, 1e-3):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2


def _inside(probability: float) -> float:
    return min(max(probability, TAIL), 1 - TAIL)
