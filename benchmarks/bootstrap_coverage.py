"""How often 95% intervals of a mean of few numbers hold the true mean, for ways to bootstrap it.

    python benchmarks/bootstrap_coverage.py [--rows 2000] [--seeds 3 5 10] [--json FILE]

A row is what one comparison has: differences of two variants, one a seed. Of each way the table has
the part of rows whose interval holds the true mean, and the median width in widths of Student's
interval, which is right for normal differences. `charlab compare` uses the last way. Of up to 5
numbers all resamples are counted, of more 4,000 are drawn, the same for each row.
"""

import itertools
import math
from collections.abc import Callable
from statistics import NormalDist

import figures
import numpy as np
from numpy.typing import NDArray

from charlab.compare.statistics import mean_intervals, student_quantile

Numbers = NDArray[np.float64]
Ends = tuple[Numbers, Numbers]

NORMAL = NormalDist()
LEVEL = 0.975
NUM_DRAWN = 4000

# how rows are drawn, and their true mean
Draw = Callable[[np.random.Generator, tuple[int, int]], Numbers]
KINDS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, size: rng.normal(size=size), 0.0),
    "uniform": (lambda rng, size: rng.uniform(-1, 1, size=size), 0.0),
    "Student t, 3 degrees": (lambda rng, size: rng.standard_t(3, size=size), 0.0),
    "of two skewed scores": (
        lambda rng, size: rng.gamma(4, size=size) - rng.gamma(9, size=size),
        -5.0,
    ),
    "gamma 4": (lambda rng, size: rng.gamma(4, size=size), 4.0),
    "exponential": (lambda rng, size: rng.exponential(size=size), 1.0),
}


def counts_of_resamples(n: int) -> Numbers:
    """[resample, number]: how often each number of a row is drawn."""
    if n <= 5:
        drawn = np.array(list(itertools.product(range(n), repeat=n)))
    else:
        drawn = np.random.default_rng(0).integers(n, size=(NUM_DRAWN, n))
    return np.stack([(drawn == place).sum(axis=1) for place in range(n)], axis=1).astype(float)


def quantile(sorted_RB: Numbers, levels_R: Numbers) -> Numbers:
    """Of each row at a level of its own: the smallest value that so many do not exceed."""
    num_resamples = sorted_RB.shape[1]
    places = np.ceil(levels_R * num_resamples - 1e-9).astype(int) - 1
    found: Numbers = np.take_along_axis(
        sorted_RB, np.clip(places, 0, num_resamples - 1)[:, None], axis=1
    )
    return found[:, 0]


def student(rows_RN: Numbers, means_RB: Numbers) -> Ends:
    n = rows_RN.shape[1]
    half = student_quantile(LEVEL, n - 1) * rows_RN.std(axis=1, ddof=1) / math.sqrt(n)
    return rows_RN.mean(axis=1) - half, rows_RN.mean(axis=1) + half


def percentile(rows_RN: Numbers, means_RB: Numbers) -> Ends:
    return at_levels(means_RB, 1 - LEVEL)


def expanded_percentile(rows_RN: Numbers, means_RB: Numbers) -> Ends:
    """At the levels that give a normal row the width of Student's interval (Hesterberg 2015)."""
    n = rows_RN.shape[1]
    t = student_quantile(LEVEL, n - 1)
    return at_levels(means_RB, NORMAL.cdf(-math.sqrt(n / (n - 1)) * t))


def at_levels(means_RB: Numbers, low: float) -> Ends:
    means_RB = np.sort(means_RB, axis=1)
    levels_R = np.full(len(means_RB), low)
    return quantile(means_RB, levels_R), quantile(means_RB, 1 - levels_R)


def bca(rows_RN: Numbers, means_RB: Numbers) -> Ends:
    """Bias-corrected and accelerated (Efron 1987); the acceleration is that of the jackknife."""
    mean_R1 = rows_RN.mean(axis=1, keepdims=True)
    below_R = (means_RB < mean_R1).mean(axis=1) + (means_RB == mean_R1).mean(axis=1) / 2
    bias_R = np.array([NORMAL.inv_cdf(float(np.clip(p, 1e-6, 1 - 1e-6))) for p in below_R])
    away_RN = rows_RN - mean_R1
    acceleration_R = (away_RN**3).sum(axis=1) / (6 * (away_RN**2).sum(axis=1) ** 1.5)
    means_RB = np.sort(means_RB, axis=1)
    found = []
    for z in (NORMAL.inv_cdf(1 - LEVEL), NORMAL.inv_cdf(LEVEL)):
        moved_R = bias_R + (bias_R + z) / (1 - acceleration_R * (bias_R + z))
        found.append(quantile(means_RB, np.array([NORMAL.cdf(float(one)) for one in moved_R])))
    return found[0], found[1]


def bootstrap_t(rows_RN: Numbers, means_RB: Numbers) -> Ends:
    """Studentized (Efron 1981); where all draws of a resample are one number its t is infinite."""
    n = rows_RN.shape[1]
    mean_R1, sd_R1 = rows_RN.mean(axis=1, keepdims=True), rows_RN.std(axis=1, ddof=1, keepdims=True)
    squares_RB = rows_RN**2 @ counts_of_resamples(n).T / n
    sd_RB = np.sqrt(np.maximum(squares_RB - means_RB**2, 0) * n / (n - 1))
    away_RB = (means_RB - mean_R1) * math.sqrt(n)
    is_one_RB = sd_RB < 1e-7 * sd_R1
    infinite_RB = np.where(away_RB < 0, -np.inf, np.inf)
    t_RB = np.where(is_one_RB, infinite_RB, away_RB / np.where(is_one_RB, 1, sd_RB))
    low_R, high_R = at_levels(t_RB, 1 - LEVEL)
    mean_R, error_R = mean_R1[:, 0], sd_R1[:, 0] / math.sqrt(n)
    ends: Ends = (mean_R - high_R * error_R, mean_R - low_R * error_R)
    return ends


def smoothed_stretched(rows_RN: Numbers, means_RB: Numbers) -> Ends:
    return mean_intervals(rows_RN, 2 * LEVEL - 1)


WAYS: dict[str, Callable[[Numbers, Numbers], Ends]] = {
    "Student": student,
    "percentile": percentile,
    "BCa": bca,
    "expanded": expanded_percentile,
    "bootstrap-t": bootstrap_t,
    "smoothed, stretched": smoothed_stretched,
}


def measure(num_rows: int, n: int, kind: str) -> dict[str, tuple[float, float]]:
    """Part of rows that each way covers, and its median width in widths of Student's."""
    draw, mean = KINDS[kind]
    rows_RN = draw(np.random.default_rng(1), (num_rows, n))
    means_RB = rows_RN @ counts_of_resamples(n).T / n
    found = {}
    for name, way in WAYS.items():
        low_R, high_R = way(rows_RN, means_RB)
        width = float(np.median(high_R - low_R))
        found[name] = (float(np.mean((low_R <= mean) & (mean <= high_R))), width)
    return {name: (part, width / found["Student"][1]) for name, (part, width) in found.items()}


def main() -> None:
    parser = figures.parser(__doc__)
    parser.add_argument("--rows", type=int, default=2000, help="rows drawn of each kind and n")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5, 10], metavar="N")
    asked = parser.parse_args()
    table, found = [], []
    for kind, n in itertools.product(KINDS, asked.seeds):
        measured = measure(asked.rows, n, kind)
        cells = {name: f"  {part:.3f} x{width:.2f}" for name, (part, width) in measured.items()}
        table.append({"by": f"{kind}, n={n}", **cells})
        finite = {  # JSON has no infinity
            name: (part, width if math.isfinite(width) else None)
            for name, (part, width) in measured.items()
        }
        found.append({"kind": kind, "n": n, "covered_and_width": finite})
    figures.show_rows(table, "part of 95% intervals that hold the mean, x width / Student's")
    if asked.json is not None:
        figures.write(found, asked.json)


if __name__ == "__main__":
    main()
