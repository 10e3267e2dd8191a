"""The records under docs/results, read and compared as `charlab compare` does."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from statistics import fmean

from charlab import rows
from charlab.compare.compare import compare
from charlab.compare.comparison import ComparisonSet, Estimate
from charlab.compare.sentences import interval
from charlab.reading.facts import RunFacts
from charlab.reading.find import read_runs

RESULTS = Path(__file__).parents[1] / "results"


@cache
def runs(group: str) -> tuple[RunFacts, ...]:
    return tuple(read_runs([str(RESULTS / group)]).runs)


@cache
def compared(group: str) -> ComparisonSet:
    """The one set of a group: all of it can be ranked."""
    comparison = compare(read_runs([str(RESULTS / group)]))
    assert not comparison.left_out, comparison.left_out
    assert not comparison.unreadable, comparison.unreadable
    (one,) = comparison.sets
    return one


def score(estimate: Estimate | None, factor: float = 1) -> str:
    """ "3.274 [3.266, 3.281]" """
    assert estimate is not None
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean * factor:.3f}"
    ends = interval(estimate.low * factor, estimate.high * factor)
    return f"{estimate.mean * factor:.3f} {ends}"


def mean_of(found: Iterable[float | None]) -> float:
    return fmean(value for value in found if value is not None)


def setting(run: RunFacts, option: str) -> str:
    section, _, name = option.partition(".")
    return f"{run.config[section][name]:.3g}"


def drawn(run: RunFacts, temperature: float = 1.0, prompt: str = "") -> list[str]:
    lines = (run.path / "samples.jsonl").read_bytes().splitlines()
    return [
        str(row["text"])
        for row in rows.parsed(lines)
        if row["temperature"] == temperature and row["prompt"] == prompt
    ]
