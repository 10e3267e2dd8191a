"""What is said of two variants, in plain words."""

from charlab.compare.comparison import ComparisonSet, Verdict

# bits below which all digits that are shown are 0
LEAST = 5e-7


def number(value: float, digits: int = 3) -> str:
    """Fixed digits, and no minus before zero."""
    shown = f"{value:.{digits}f}"
    return shown.lstrip("-") if float(shown) == 0 else shown


def interval(low: float, high: float) -> str:
    """[0.060, 0.100], with as many digits as it takes for an end beside zero not to show as 0."""
    digits = _digits(low, high)
    return f"[{number(low, digits)}, {number(high, digits)}]"


def _digits(*values: float) -> int:
    sizes = [abs(value) for value in values if value != 0]
    return next((n for n in range(3, 6) if all(size >= 0.5 * 10**-n for size in sizes)), 6)


def pair_sentence(
    better: str,
    worse: str,
    *,
    unit: str,
    n: int,
    difference: float,
    ends: tuple[float, float] | None,
    verdict: Verdict,
    num_pairs: int,
    num_needed: int | None,
) -> str:
    """One sentence.

    ends        the interval; None for fewer than two seeds
    num_needed  seeds that would show such a difference, None where nobody can say
    """
    if ends is None:
        if difference < LEAST and n == 1:
            return f"{better} and {worse} have the same score on one seed"
        below = f"{better} is {_by(difference, unit)} below {worse}"
        return f"{below}, but they have no seed in common" if n == 0 else f"{below} on one seed"
    measured = f"{interval(*ends)}, {n} seeds"
    by = f"{_by(difference, unit, *ends)} {measured}"
    if verdict == "beats":
        return f"{better} beats {worse} by {by}"
    if verdict == "alone":
        chance = f"among {num_pairs} pairs one such difference may be chance"
        return f"{better} probably beats {worse} by {by}; {chance}"
    if difference < LEAST:
        return f"too close to call: {better} and {worse} have the same mean {measured}"
    advice = "add seeds"
    if num_needed is not None:
        advice = f"it would take about {_rounded(num_needed)} seeds to show such a difference"
    digits = _digits(difference, *ends)
    by = f"{number(difference, digits)} {measured}"
    return f"too close to call: {better} and {worse} differ by {by}; {advice}"


def _by(difference: float, unit: str, *ends: float) -> str:
    return f"{number(difference, _digits(difference, *ends))} bits/{unit}"


def _rounded(seeds: int) -> int:
    """Two digits: more would be more than anybody knows."""
    return seeds if seeds < 100 else round(seeds, -1)


def how_pairs_are_judged(of: ComparisonSet, confidence: float) -> str:
    """One line on the intervals and on the words "beats" and "probably"; empty without any."""
    num_pairs = sum(pair.low is not None for pair in of.pairs)
    if num_pairs == 0:
        return ""
    own = f"{percent(confidence)} bootstrap intervals of the mean difference, paired by seed"
    if num_pairs == 1:
        return own
    each = percent(1 - (1 - confidence) / num_pairs)
    return f'{own}; "beats" holds for all {num_pairs} pairs at once (each at {each})'


def percent(confidence: float) -> str:
    """ "95%", "99.2%", "99.95%": as many digits as tell it from 100."""
    for digits in range(5):
        shown = f"{100 * confidence:.{digits}f}"
        if abs(float(shown) - 100 * confidence) < 10 * (1 - confidence):
            return f"{shown}%"
    return f"{100 * confidence:.6g}%"
