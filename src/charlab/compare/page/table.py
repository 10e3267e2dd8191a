"""The rows of the table of a set: variants, then floors."""

from collections.abc import Sequence
from typing import NamedTuple, final

from charlab.compare.compare import NOT_COMPARABLE
from charlab.compare.comparison import ComparisonSet, Estimate, Floor, Split, Variant
from charlab.compare.page.look import Look
from charlab.compare.page.words import bits, count, interval
from charlab.compare.sentences import percent
from charlab.compare.table import UNTRAINED, memory_text
from charlab.fitted_table import duration


@final
class Column(NamedTuple):
    """A heading, and what it means in a few words."""

    heading: str
    meaning: str


@final
class Value(NamedTuple):
    """What a cell shows, and what it is sorted by; None comes last."""

    text: str
    number: float | None


NONE = Value("", None)


@final
class Row(NamedTuple):
    """Of a variant, or of a floor, which has no look; note: why it cannot be ranked."""

    label: str
    look: Look | None
    values: Sequence[Value]
    note: str = ""


@final
class Table(NamedTuple):
    """A table, without the column of labels."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    floors: Sequence[Row]


def table(one: ComparisonSet, looks: dict[str, Look], confidence: float) -> Table:
    """Scores by the split that ranks first, then the other, then what they cost."""
    other: Split = "val" if one.ranked_by == "test" else "test"
    columns = [
        Column("n", "seeds, a finished run each"),
        *_score_columns(one, one.ranked_by, confidence),
        *_score_columns(one, other, confidence),
        Column("params", "numbers that are trained"),
        Column("state", "numbers carried from step to step"),
        Column("chars/s", f"{one.unit}s trained on a second, the median over seeds"),
        Column("time", "of training steps alone, the median over seeds"),
        Column("memory", "peak of the GPU's, else of the process's, the median over seeds"),
    ]
    rows = [
        Row(
            variant.label,
            looks[variant.label],
            [
                Value(count(len(variant.runs)), len(variant.runs)),
                *_score(variant.score(one.ranked_by)),
                *_score(variant.score(other)),
                Value(count(variant.num_params), variant.num_params),
                Value(count(variant.state_size), variant.state_size),
                Value(count(variant.chars_per_s), variant.chars_per_s),
                Value(duration(variant.train_s), variant.train_s),
                Value(memory_text(variant.peak_memory_bytes), variant.peak_memory_bytes),
            ],
            _note(one, variant),
        )
        for variant in one.variants
    ]
    floors = [
        Row(
            f"{floor.label}, to beat" if floor.is_best else floor.label,
            None,
            [
                NONE,
                *_floor(floor, one.ranked_by),
                *_floor(floor, other),
                *[NONE] * 5,
            ],
        )
        for floor in one.floors
    ]
    return Table(columns, rows, floors)


def _score_columns(one: ComparisonSet, split: Split, confidence: float) -> list[Column]:
    return [
        Column(split, f"bits/{one.unit} on {split}, the mean over seeds"),
        Column(f"{percent(confidence)} interval", "of that mean"),
        Column("sd", "standard deviation over seeds"),
    ]


def _score(estimate: Estimate | None) -> list[Value]:
    if estimate is None:
        return [NONE] * 3
    width = None
    if estimate.low is not None and estimate.high is not None:
        width = estimate.high - estimate.low
    return [
        Value(bits(estimate.mean), estimate.mean),
        Value(interval(estimate.low, estimate.high), width),
        Value(bits(estimate.sd, 4), estimate.sd),
    ]


def _floor(floor: Floor, split: Split) -> list[Value]:
    value = floor.val_bpc if split == "val" else floor.test_bpc
    return [Value(bits(value), value), NONE, NONE]


def _note(one: ComparisonSet, variant: Variant) -> str:
    if variant.reason:
        return f"{NOT_COMPARABLE}: {variant.reason}"
    estimate, floor = variant.score(one.ranked_by), one.best_floor
    if estimate is None or floor is None:
        return ""
    reached = floor.val_bpc if one.ranked_by == "val" else floor.test_bpc
    return UNTRAINED if estimate.mean >= reached else ""
