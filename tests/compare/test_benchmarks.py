"""The benchmarks of the comparison: what intervals cover, and how long many runs take."""

import importlib
import itertools
from pathlib import Path

import numpy as np
import pytest

from charlab.compare.compare import compare
from charlab.reading.find import read_runs

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def module(monkeypatch):
    """Imports a file of benchmarks/, as they import each other."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.mark.parametrize("n", [3, 5, 10])
def test_of_the_ways_to_bootstrap_the_chosen_one_covers_as_it_says(module, n):
    coverage = module("bootstrap_coverage")
    found = {name: part for name, (part, _) in coverage.measure(800, n, "normal").items()}
    # 800 rows: 0.008 is a standard error
    assert 0.93 < found["smoothed, stretched"] < 0.97
    assert found["smoothed, stretched"] == pytest.approx(found["Student"], abs=0.01)
    assert found["percentile"] < {3: 0.80, 5: 0.87, 10: 0.93}[n]
    skewed = {name: part for name, (part, _) in coverage.measure(400, n, "exponential").items()}
    assert skewed["smoothed, stretched"] > skewed["percentile"] + 0.02


def test_three_numbers_leave_a_percentile_interval_no_room(module):
    """It ends at the least and the largest of them, which hold the mean in 3 of 4 cases."""
    coverage = module("bootstrap_coverage")
    rows = np.random.default_rng(0).normal(size=(50, 3))
    means = rows @ coverage.counts_of_resamples(3).T / 3
    assert len(coverage.counts_of_resamples(3)) == len(list(itertools.product(range(3), repeat=3)))
    low, high = coverage.percentile(rows, means)
    assert low == pytest.approx(rows.min(axis=1))
    assert high == pytest.approx(rows.max(axis=1))


def test_the_runs_of_the_benchmark_are_variants_with_seeds(module, tmp_path):
    module("compare_many").make(tmp_path, num_runs=6, num_rows=20, num_seeds=3)
    (only,) = compare(read_runs([str(tmp_path)])).sets
    assert {variant.label for variant in only.variants} == {
        "gru hidden_size=100",
        "gru hidden_size=101",
    }
    assert [variant.test.n for variant in only.variants] == [3, 3]
