"""What a comparison finds: plain data that the table, the page and the exports show."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from charlab.reading.facts import RunFacts
from charlab.reading.find import Unreadable

Split = Literal["val", "test"]
# beats       the interval holds for all pairs of the set at once
# alone       it excludes zero for this pair alone, which among many pairs may be chance
# close       it does not
# few         fewer than two seeds in common: there is no interval
Verdict = Literal["beats", "alone", "close", "few"]


@final
@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its interval; sd, low and high are None for fewer than two."""

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None


@final
@dataclass(frozen=True)
class Variant:
    """Runs that differ in the seed alone.

    label     short and unique in its set: the cell, and where that is not enough what else differs
              ("custom_gru reset=after"); the same word in two sets is the same cell
    settings  dotted options in which the variants of the comparison differ, and their values here
    runs      the finished ones, one a seed, in the order of seeds
    val, test bits a target; None where no run has the score
    chars_per_s, train_s, seconds, peak_memory_bytes   medians over the runs; None where unknown
    reason    why it cannot be ranked against the rest, where --force has put it there; else empty
    """

    label: str
    cell: str
    settings: dict[str, Any]
    runs: tuple[RunFacts, ...]
    val: Estimate | None
    test: Estimate | None
    num_params: int
    state_size: int
    chars_per_s: float | None
    train_s: float | None
    seconds: float | None
    peak_memory_bytes: int | None
    reason: str = ""

    def score(self, split: Split) -> Estimate | None:
        return self.val if split == "val" else self.test


@final
@dataclass(frozen=True)
class Pair:
    """Two variants, seed by seed: the mean of what `worse` has more than `better`, in bits.

    n         seeds that both have
    low, high the bootstrap interval of the difference; None where n < 2
    sentence  in plain words
    is_comparable  whether they can be ranked; where --force has put them together, perhaps not
    seeds_needed  about how many seeds would show such a difference at the level of all pairs; None
                  where it shows, or nobody can say
    """

    better: str
    worse: str
    n: int
    difference: float
    low: float | None
    high: float | None
    verdict: Verdict
    sentence: str
    is_comparable: bool = True
    seeds_needed: int | None = None


@final
@dataclass(frozen=True)
class Floor:
    """What an n-gram or a compressor reaches, in bits a target. is_best: of the n-grams, on val."""

    label: str
    val_bpc: float
    test_bpc: float
    is_best: bool


@final
@dataclass(frozen=True)
class ComparisonSet:
    """Variants that can be ranked: same data, split, protocol and budget.

    title    data and budget in words: "names (bundled) · 3,488 steps of 64 names"
    unit     what a target is called: "char" or "byte"
    ranked_by  "test", or "val" where a variant has no test score
    variants sorted, the best first
    pairs    each two of them, the largest difference first
    notes    what one has to know to read it, a line each: another machine, code or precision,
             seeds that only one has, how many pairs were looked at
    """

    title: str
    unit: str
    ranked_by: Split
    variants: tuple[Variant, ...]
    pairs: tuple[Pair, ...]
    floors: tuple[Floor, ...]
    notes: tuple[str, ...]

    @property
    def best_floor(self) -> Floor | None:
        return next((floor for floor in self.floors if floor.is_best), None)


@final
@dataclass(frozen=True)
class LeftOut:
    """A run that is not in the comparison. why: "running, step 400 of 3,488"."""

    path: Path
    why: str


@final
@dataclass(frozen=True)
class Comparison:
    """Everything that `charlab compare` has to say.

    sets        the larger first
    not_ranked  why the sets are apart, a line each
    differing   dotted options in which the configurations differ, seed apart
    confidence  of the intervals
    """

    sets: tuple[ComparisonSet, ...]
    not_ranked: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    unreadable: tuple[Unreadable, ...]
    differing: tuple[str, ...]
    confidence: float = 0.95
