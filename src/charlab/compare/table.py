"""A comparison in the terminal: a table and sentences for each set, then what is left out."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from charlab.compare.compare import NOT_COMPARABLE
from charlab.compare.comparison import (
    Comparison,
    ComparisonSet,
    Estimate,
    Floor,
    Pair,
    Variant,
    Verdict,
)
from charlab.compare.next_steps import next_commands
from charlab.compare.sentences import how_pairs_are_judged, interval, percent
from charlab.fitted_table import Columns, duration, fitted_table, score_text
from charlab.terminal import harmless

# what a label has before other columns give way
MOST_LABEL = 28
# sentences, and runs that are left out, up to which all are shown
MOST_PAIRS = 15
MOST_LINES = 10
# in the order of giving way where the terminal is narrow; other: the split that does not rank
GIVES_WAY = (
    "state",
    "memory",
    "other sd",
    "other interval",
    "time",
    "chars/s",
    "sd",
    "params",
    "other",
    "n",
    "remark",
)
TO_BEAT = "to beat"
UNTRAINED = "not trained yet"
STYLES: dict[Verdict, str] = {"beats": "green", "alone": "yellow", "close": "", "few": "dim"}

Row = list[Text]


def show(console: Console, comparison: Comparison, page: Sequence[str]) -> None:
    """All of it, then what to type next. page: the words that make the page, if there is none."""
    for place, one in enumerate(comparison.sets):
        if place > 0:
            _say(console, f"\n{comparison.not_ranked[place - 1]}", "yellow")
        _show_set(console, one, comparison.confidence)
    _show_lines(console, "left out", [(str(one.path), one.why) for one in comparison.left_out])
    _show_lines(console, "not read", [(str(one.path), one.why) for one in comparison.unreadable])
    commands = next_commands(comparison, page)
    if commands:
        console.print("\n[bold]Next[/]")
    for command, purpose in commands:
        _say(console, f"  # {purpose}", "dim")
        _say(console, f"  {command}", wraps=False)


def _show_set(console: Console, of: ComparisonSet, confidence: float) -> None:
    unit = f"bits/{of.unit}, the lower the better"
    console.print()
    title = Text.assemble((harmless(of.title), "bold"), (f"  {unit}", "dim"))
    console.print(title, soft_wrap=not console.is_terminal)
    _show_table(console, of, confidence)
    for variant in of.variants:
        if variant.reason:
            _say(console, f"{variant.label} is {NOT_COMPARABLE}: {variant.reason}", "yellow")
    shown = _pairs_shown(of)
    if shown:
        console.print()
    for pair in shown:
        _say(console, pair.sentence, STYLES[pair.verdict] if pair.is_comparable else "yellow")
    if len(shown) < len(of.pairs) and any(pair.low is not None for pair in of.pairs):
        more = len(of.pairs) - len(shown)
        _say(console, f"and {more:,} more pairs: --json and --html have them", "dim")
    how = how_pairs_are_judged(of, confidence)
    if how:
        _say(console, how, "dim")
    for note in of.notes:
        _say(console, f"note: {note}", "yellow")


def _pairs_shown(of: ComparisonSet) -> list[Pair]:
    """All, or those of the best where there are many; none where all have a single seed."""
    if all(pair.low is None for pair in of.pairs) and len(of.variants) > 2:
        return []
    if len(of.pairs) <= MOST_PAIRS:
        return list(of.pairs)
    best = of.variants[0].label
    return [pair for pair in of.pairs if best in (pair.better, pair.worse)][-MOST_PAIRS:]


def _show_table(console: Console, of: ComparisonSet, confidence: float) -> None:
    level = f"{percent(confidence)} interval"
    # the split that ranks comes first, and stays where the terminal is narrow
    own, other = ("test", "val") if of.ranked_by == "test" else ("val", "test")
    columns = Columns(
        names=(
            *("variant", "n", own, "sd", level, other, f"{other} sd", f"{other} interval"),
            *("params", "state", "chars/s", "time", "memory", "remark"),
        ),
        wide="variant",
        least={},
        left=("remark",),
        gives_way=(*(name.replace("other", other) for name in GIVES_WAY), level),
    )
    rows = _rows(of)
    longest = max(row[0].cell_len for row in rows)
    columns = columns._replace(least={"variant": max(len("variant"), min(longest, MOST_LABEL))})
    table = fitted_table(columns, rows, _width(console, columns, rows), fills=False)
    if not console.is_terminal:
        table.width = _width(console, columns, rows)
    console.print(table, soft_wrap=True)


def _width(console: Console, columns: Columns, rows: Sequence[Row]) -> int:
    """A file has all columns in full."""
    if console.is_terminal:
        return console.width
    cells = [[Text(name) for name in columns.names], *rows]
    return sum(max(row[n].cell_len for row in cells) + 1 for n in range(len(columns.names)))


def _rows(of: ComparisonSet) -> list[Row]:
    """Variants and floors in one order."""
    sortable: list[tuple[float, Row]] = []
    for variant in of.variants:
        estimate = variant.score(of.ranked_by)
        mean = float("inf") if estimate is None else estimate.mean
        sortable.append((mean, _variant_row(of, variant)))
    for floor in of.floors:
        sortable.append((_of_floor(of, floor), _floor_row(of, floor)))
    return [row for _, row in sorted(sortable, key=lambda pair: pair[0])]


def _variant_row(of: ComparisonSet, variant: Variant) -> Row:
    own = variant.score(of.ranked_by)
    other = variant.val if of.ranked_by == "test" else variant.test
    floor = of.best_floor
    is_untrained = floor is not None and own is not None and own.mean >= _of_floor(of, floor)
    remark = NOT_COMPARABLE if variant.reason else UNTRAINED if is_untrained else ""
    style = "yellow" if remark else _style(of, variant)
    cells = [
        variant.label,
        str(own.n if own is not None else 0),
        *_estimate(own),
        *_estimate(other),
        f"{variant.num_params:,}",
        f"{variant.state_size:,}",
        "" if variant.chars_per_s is None else f"{variant.chars_per_s:,.0f}",
        duration(variant.train_s),
        memory_text(variant.peak_memory_bytes),
        remark,
    ]
    return [Text(cell, style) for cell in cells]


def _style(of: ComparisonSet, variant: Variant) -> str:
    """Green for the best, and for those that it is too close to."""
    best = of.variants[0]
    if len(of.variants) == 1:
        return ""
    if variant is best:
        return "bold green"
    is_open = any(
        pair.verdict == "close" and {pair.better, pair.worse} == {best.label, variant.label}
        for pair in of.pairs
    )
    return "green" if is_open else ""


def _estimate(estimate: Estimate | None) -> tuple[str, str, str]:
    """Mean, standard deviation, interval."""
    if estimate is None:
        return "", "", ""
    if estimate.sd is None or estimate.low is None or estimate.high is None:
        return score_text(estimate.mean), "", "one seed"
    return score_text(estimate.mean), f"{estimate.sd:.4f}", interval(estimate.low, estimate.high)


def _floor_row(of: ComparisonSet, floor: Floor) -> Row:
    own, other = floor.test_bpc, floor.val_bpc
    if of.ranked_by == "val":
        own, other = other, own
    cells = [floor.label, "", score_text(own), "", "", score_text(other), *[""] * 7]
    return [Text(cell, "dim") for cell in [*cells, TO_BEAT if floor.is_best else ""]]


def _of_floor(of: ComparisonSet, floor: Floor) -> float:
    return floor.test_bpc if of.ranked_by == "test" else floor.val_bpc


def memory_text(num_bytes: int | None) -> str:
    return "" if num_bytes is None else f"{num_bytes / 2**20:,.0f} MiB"


def _show_lines(console: Console, heading: str, lines: Sequence[tuple[str, str]]) -> None:
    if lines:
        runs = "1 run" if len(lines) == 1 else f"{len(lines):,} runs"
        console.print(f"\n[bold]{heading}[/] [dim]{runs}[/]")
    for path, why in lines[:MOST_LINES]:
        _say(console, f"  {path}: {why}", "dim")
    if len(lines) > MOST_LINES:
        _say(console, f"  and {len(lines) - MOST_LINES:,} more: --json has them", "dim")


def _say(console: Console, text: str, style: str = "", *, wraps: bool = True) -> None:
    """In a terminal lines break between words, but for what is to be copied."""
    console.print(Text(harmless(text), style), soft_wrap=not (wraps and console.is_terminal))
