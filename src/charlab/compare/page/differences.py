"""The pairs of a set: a figure of their differences with intervals, and their sentences."""

from collections.abc import Sequence

import plotly.graph_objects as go

from charlab.compare.compare import NOT_COMPARABLE
from charlab.compare.comparison import ComparisonSet, Pair
from charlab.compare.page.figure import MARK_PX, Figure, meta, row_label, rows_frame, upright
from charlab.compare.page.headline import pairs_of, ranked
from charlab.compare.page.look import INK, LIGHT_PAPER, QUIET, Look
from charlab.compare.page.words import bits, cut, in_figure, interval
from charlab.compare.sentences import percent

MOST_PAIRS = 15
MOST_WITH_BEST = 30
# more make a figure that is too high to stand beside another
MOST_IN_A_COLUMN = 16
WORDS = {
    "beats": "{} beats {}",
    "alone": "{} beats {}, if it were the only pair",
    "close": "{} and {}: too close to call",
    "few": "{} and {}: too few seeds",
}


def shown_pairs(one: ComparisonSet) -> Sequence[Pair]:
    """All where they are few, else those of the best variant with others."""
    if len(one.pairs) <= MOST_PAIRS:
        return one.pairs
    variants = ranked(one)
    found = pairs_of(one, variants[0], variants[1 : MOST_WITH_BEST + 1]) if variants else []
    return found or one.pairs[:MOST_PAIRS]


def differences(
    one: ComparisonSet, looks: dict[str, Look], confidence: float, name: str
) -> Figure | None:
    """A row a pair: how much lower the better one scores, seed by seed. None without pairs."""
    pairs = shown_pairs(one)
    if not pairs:
        return None
    ends = [0.0, *(end for pair in pairs for end in (pair.difference, pair.low, pair.high) if end)]
    pad = 0.05 * (max(ends) - min(ends)) or 0.001
    x_range = (min(ends) - pad, max(ends) + pad)
    x_title = f"difference in bits/{one.unit} on {one.ranked_by}"
    plot = go.Figure(layout=rows_frame(len(pairs), x_title, x_range))
    plot.add_trace(upright(0, len(pairs), INK[0]))
    for row, pair in enumerate(pairs):
        of_pair = looks[pair.better], looks[pair.worse]
        label = _label(pair) if pair.is_comparable else f"{NOT_COMPARABLE}: {_label(pair)}"
        mark = _mark(row, pair, of_pair, is_sure=pair.is_comparable and pair.verdict == "beats")
        plot.add_traces([row_label(row, label, x_range[0], *of_pair), mark])
    caption = (
        f"What the second of a pair has more than the first, with the {percent(confidence)} "
        "interval of the mean over the seeds that both have. Full marks: sure for all pairs of the "
        "set at once. Hollow: zero is in the interval, or among so many pairs it may be chance."
    )
    if len(pairs) < len(one.pairs):
        caption += f" Shown are {len(pairs)} of {len(one.pairs):,} pairs, those of the best."
    is_wide = len(pairs) > MOST_IN_A_COLUMN
    return Figure(name, "How sure are the differences?", caption, plot, is_wide)


def _label(pair: Pair) -> str:
    labels = (in_figure(cut(label, 26)) for label in (pair.better, pair.worse))
    return f"{WORDS[pair.verdict].format(*labels)} · {bits(pair.difference, 4)}"


def _mark(row: int, pair: Pair, of_pair: tuple[Look, Look], *, is_sure: bool) -> go.Scatter:
    """Full and in the colour of the better one where it is sure; hollow where it is not."""
    colour = of_pair[0].colour if is_sure else QUIET[0]
    has_interval = pair.low is not None and pair.high is not None
    within = f" {interval(pair.low, pair.high)}" if has_interval else ""
    seeds = "seed" if pair.n == 1 else "seeds"
    hover = (
        f"{in_figure(pair.better)} below {in_figure(pair.worse)}:<br>"
        f"{bits(pair.difference, 4)}{within}, {pair.n} {seeds}"
    )
    return go.Scatter(
        x=[pair.difference],
        y=[row],
        mode="markers",
        marker={
            "color": colour if is_sure else LIGHT_PAPER,
            "size": MARK_PX + 2,
            "symbol": "diamond",
            "line": {"color": colour, "width": 2},
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [(pair.high or 0) - pair.difference if has_interval else 0],
            "arrayminus": [pair.difference - (pair.low or 0) if has_interval else 0],
            "visible": has_interval,
            "color": colour,
            "thickness": 3,
            "width": 6,
        },
        hovertext=[hover],
        hoverinfo="text",
        meta=meta(*of_pair),
    )
