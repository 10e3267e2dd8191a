"""What a set of a comparison says in one sentence, and its few key figures."""

from collections.abc import Sequence
from typing import NamedTuple, final

from charlab.compare.comparison import ComparisonSet, Pair, Variant
from charlab.compare.page.words import bits, count, cut, interval
from charlab.fitted_table import duration

MOST_NAMES = 4
SURE = {
    "beats": ", the next",
    "alone": ": perhaps",
    "close": ": too close to call",
    "few": ": too few seeds",
}


@final
class KeyFigure(NamedTuple):
    """A number to be read from afar, and what it is."""

    number: str
    meaning: str


def ranked(one: ComparisonSet) -> list[Variant]:
    """The variants that may be ranked, the best first."""
    return [variant for variant in one.variants if not variant.reason]


def headline(one: ComparisonSet) -> str:
    """The best variant and its margin, or that it is too close to call."""
    variants = ranked(one)
    if len(variants) < 2:
        labels = " and ".join(variant.label for variant in variants) or "No variant"
        return f"{labels} alone: there is nothing to compare with."
    best = variants[0]
    pairs = pairs_of(one, best, variants[1:])
    if not pairs:
        return f"{best.label} has the lowest score, but no seed in common with another."
    # where seeds are not the same, the mean of all and that of the common ones may not agree
    against = [p for p in pairs if p.worse == best.label and p.verdict in ("beats", "alone")]
    if against:
        better = f"{against[0].better} is {_margin(one, against[0])}"
        return f"{best.label} has the lowest mean, but on the seeds that both have {better}."
    unsure = [pair for pair in pairs if pair.verdict in ("close", "few")]
    if not unsure:
        place = "better" if len(variants) == 2 else f"the best of {len(variants)}"
        is_sure = all(pair.verdict == "beats" for pair in pairs)
        return f"{best.label} is {'' if is_sure else 'probably '}{place}: {_margin(one, pairs[0])}."
    lead = f"{unsure[0].better} is {_margin(one, unsure[0])}"
    if all(pair.verdict == "few" for pair in unsure):
        return f"Too few seeds to call: {lead}."
    if len(unsure) == 1:
        return f"Too close to call: {lead}."
    names = [best.label, *(_other(pair, best) for pair in unsure)]
    among = f"{', '.join(names[:-1])} and {names[-1]}"
    if len(names) > MOST_NAMES:
        of_all = f"{len(names)} of {len(variants)}"
        among = f"all {len(names)}" if len(names) == len(variants) else of_all
    return f"Too close to call among {among}: {lead}."


def pairs_of(one: ComparisonSet, variant: Variant, others: Sequence[Variant]) -> list[Pair]:
    """The pairs of a variant with others, in their order; without those that share no seed."""
    with_it = {
        _other(pair, variant): pair
        for pair in one.pairs
        if variant.label in (pair.better, pair.worse)
    }
    return [with_it[other.label] for other in others if other.label in with_it]


def key_figures(one: ComparisonSet) -> list[KeyFigure]:
    """The best score, its distance to the floor and to the next, the runs and their time."""
    runs = [run for variant in one.variants for run in variant.runs]
    seconds = [s for run in runs if (s := run.record.get("seconds")) is not None]
    found = [
        KeyFigure(count(len(runs)), f"runs: {len(one.variants)} variants, {_seeds(one)} seeds"),
        KeyFigure(duration(sum(seconds)), "of running, h:mm:ss"),
    ]
    variants = ranked(one)
    best = variants[0].score(one.ranked_by) if variants else None
    if best is None:
        return found
    label = cut(variants[0].label, 30)
    scores = [KeyFigure(bits(best.mean), f"bits/{one.unit} on {one.ranked_by}: {label}")]
    for pair in pairs_of(one, variants[0], variants[1:2]):
        other = cut(_other(pair, variants[0]), 30)
        meaning = f"to {other}{SURE[pair.verdict]}"
        if pair.worse == variants[0].label:
            meaning = f"{other} is lower, on the seeds that both have"
        scores.append(KeyFigure(bits(pair.difference, 4), meaning))
    if one.best_floor is not None:
        floor = one.best_floor.val_bpc if one.ranked_by == "val" else one.best_floor.test_bpc
        below = "below" if best.mean < floor else "above"
        meaning = f"{below} the {one.best_floor.label}, the floor"
        scores.append(KeyFigure(bits(abs(floor - best.mean)), meaning))
    return [*scores, *found]


def _margin(one: ComparisonSet, pair: Pair) -> str:
    text = f"{bits(pair.difference, 4)} bits/{one.unit} below {pair.worse}"
    return text if pair.low is None else f"{text}, interval {interval(pair.low, pair.high)}"


def _other(pair: Pair, variant: Variant) -> str:
    return pair.worse if pair.better == variant.label else pair.better


def _seeds(one: ComparisonSet) -> str:
    numbers = {len(variant.runs) for variant in one.variants}
    least, most = min(numbers), max(numbers)
    return f"{least}" if least == most else f"{least} to {most}"
