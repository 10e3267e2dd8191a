"""From runs to a comparison: groups, sets that can be ranked, scores, pairs, notes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, median, stdev
from typing import Any

from charlab.compare.comparable import (
    Terms,
    budget_text,
    partition,
    why_apart,
    why_left_out,
)
from charlab.compare.comparison import (
    Comparison,
    ComparisonSet,
    Estimate,
    Floor,
    LeftOut,
    Pair,
    Split,
    Variant,
)
from charlab.compare.groups import Group, differing, group_runs, labels
from charlab.compare.notes import notes_of
from charlab.compare.pairs import pair_all
from charlab.compare.statistics import mean_interval
from charlab.reading.facts import RunFacts
from charlab.reading.find import Read
from charlab.terminal import harmless

NOT_COMPARABLE = "not comparable"


def compare(read: Read, *, force: bool = False, confidence: float = 0.95) -> Comparison:
    """What can be said of runs.

    force       rank all of them together; `reason` says what speaks against it
    confidence  of the intervals
    """
    counted: list[RunFacts] = []
    left_out: list[LeftOut] = []
    for run in read.runs:
        why = why_left_out(run)
        if why:
            left_out.append(LeftOut(run.path, why))
        else:
            counted.append(run)
    groups = group_runs(counted)
    differ = differing(groups)
    parts = partition(groups)
    reasons = [_reason(part, parts[0]) for part in parts]
    apart = tuple(f"not ranked against the first table: {why}" for why in reasons[1:])
    if force and len(parts) > 1:
        given = [(group, why) for part, why in zip(parts, reasons) for group in part]
        sets, apart = [_set(given, differ, confidence)], ()
    else:
        sets = [_set([(group, "") for group in part], differ, confidence) for part in parts]
    return Comparison(
        tuple(sets), apart, tuple(left_out), tuple(read.unreadable), tuple(differ), confidence
    )


def _reason(part: Sequence[Group], first: Sequence[Group]) -> str:
    """Why one set cannot be ranked against another; empty for the same."""
    return "; ".join(why_apart(Terms.of(part[0].runs[0]), Terms.of(first[0].runs[0])))


def _variant(
    group: Group, label: str, differ: Sequence[str], confidence: float, reason: str
) -> Variant:
    runs = group.runs
    model = runs[0].model
    return Variant(
        label=label,
        cell=group.cell,
        settings={name: group.settings[name] for name in differ if name in group.settings},
        runs=tuple(runs),
        val=_estimate(_scores(runs, "val"), confidence),
        test=_estimate(_scores(runs, "test"), confidence),
        num_params=int(model["num_params"]),
        state_size=int(model.get("state_size") or 0),
        chars_per_s=_median([run.chars_per_s for run in runs]),
        train_s=_median([run.record.get("train_s") for run in runs]),
        seconds=_median([run.record.get("seconds") for run in runs]),
        peak_memory_bytes=_whole(_median([_peak_memory_bytes(run) for run in runs])),
        reason=reason,
    )


def _scores(runs: Sequence[RunFacts], split: Split) -> dict[int, float]:
    scores = {run.seed: run.score(f"{split}/bpc") for run in runs}
    return {seed: score for seed, score in scores.items() if score is not None}


def _estimate(by_seed: dict[int, float], confidence: float) -> Estimate | None:
    values = list(by_seed.values())
    if not values:
        return None
    if len(values) == 1:
        return Estimate(1, values[0], None, None, None)
    low, high = mean_interval(values, confidence)
    return Estimate(len(values), fmean(values), stdev(values), low, high)


def _median(values: Sequence[float | int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(median(known)) if known else None


def _peak_memory_bytes(run: RunFacts) -> int | None:
    """Of the GPU where it ran on one."""
    on_device = run.record.get("peak_device_memory_bytes")
    return on_device if on_device is not None else run.record.get("peak_memory_bytes")


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _set(
    given: Sequence[tuple[Group, str]], differ: Sequence[str], confidence: float
) -> ComparisonSet:
    """given: groups, with why they cannot be ranked against the first where that is so."""
    groups = dict(zip(labels([group for group, _ in given]), (group for group, _ in given)))
    variants = [
        _variant(group, label, differ, confidence, why)
        for (label, group), (_, why) in zip(groups.items(), given)
    ]
    ranked_by: Split = "val" if any(variant.test is None for variant in variants) else "test"
    ranked = sorted(variants, key=lambda variant: _mean(variant, ranked_by))
    run = given[0][0].runs[0]
    source = str(run.data.get("source") or "").rpartition("/")[2]
    return ComparisonSet(
        title=f"{run.data.get('name') or 'data'} ({source}) · {budget_text(run)}",
        unit=run.unit,
        ranked_by=ranked_by,
        variants=tuple(ranked),
        pairs=tuple(_pairs(ranked, ranked_by, run.unit, confidence)),
        floors=_floors([group.runs[0] for group, why in given if not why]),
        notes=tuple(notes_of({one.label: groups[one.label] for one in ranked}, ranked_by)),
    )


def _pairs(
    variants: Sequence[Variant], split: Split, unit: str, confidence: float
) -> Iterator[Pair]:
    reasons = {variant.label: variant.reason for variant in variants}
    scores = [(variant.label, _scores(variant.runs, split)) for variant in variants]
    for pair in pair_all(scores, unit, confidence):
        if reasons[pair.better] == reasons[pair.worse]:
            yield pair
        else:
            sentence = f"{NOT_COMPARABLE}: {pair.sentence}"
            yield replace(pair, is_comparable=False, sentence=sentence)


def _mean(variant: Variant, split: Split) -> float:
    estimate = variant.score(split)
    return float("inf") if estimate is None else estimate.mean


def _floors(runs: Sequence[RunFacts]) -> tuple[Floor, ...]:
    """Of the first run that has any: they are those of the data."""
    found: Mapping[str, Any] = next(
        (floors for run in runs if (floors := run.data.get("floors"))), {}
    )
    ngrams = [label for label in found if label.endswith("-gram")]
    best = min(ngrams, key=lambda label: float(found[label]["val_bpc"]), default=None)
    return tuple(
        Floor(harmless(label), float(floor["val_bpc"]), float(floor["test_bpc"]), label == best)
        for label, floor in found.items()
    )
