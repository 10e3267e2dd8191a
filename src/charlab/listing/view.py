"""The list on the screen, once or for as long as somebody watches."""

import time
from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from charlab.fitted_table import Columns, duration, fitted_table, score_text
from charlab.found import State
from charlab.listing.entries import Entry, Listed, Listing
from charlab.terminal import harmless

LOOK_EVERY_S = 1.0
# lines of a live table that are not for runs
OTHER_LINES = 5
STYLES: dict[State, str] = {
    "finished": "green",
    "running": "cyan",
    "interrupted": "yellow",
    "failed": "bold red",
    "pruned": "yellow",
}
COLUMNS = Columns(
    ("group", "run", "state", "step", "val", "test", "age", "left"),
    wide="run",
    least={"run": 20, "state": 8},
    left=("group", "state"),
    gives_way=("left", "group", "test", "age", "step", "val"),
)


def show(console: Console, listed: Listed) -> None:
    """All of it, and what is wrong with what could not be read."""
    if listed.entries:
        table = fitted_table(COLUMNS, _rows(listed.entries), console.width, fills=False)
        console.print(table)
        console.print(_summary(listed.entries))
    else:
        console.print("no runs")
    for path, why in listed.unreadable:
        line = Text.assemble(("not read: ", "yellow"), harmless(f"{path}: {why}"))
        console.print(line, soft_wrap=True)
    for entry in listed.entries:
        if entry.state == "failed":
            line = Text(harmless(f"{entry.name}: {_first_line(entry.error)}"), "red")
            console.print(line, soft_wrap=True)


def watch(console: Console, listing: Listing, chosen: Sequence[State], last: int | None) -> None:
    """Until Ctrl-C: the table redrawn in a terminal, elsewhere a line for each new state."""
    if console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, auto_refresh=False, screen=False) as live:
            while True:
                live.update(_live(console, narrowed(listing.look(), chosen, last)), refresh=True)
                time.sleep(LOOK_EVERY_S)
    told: dict[str, State] = {}
    while True:
        for entry in narrowed(listing.look(), chosen, last).entries:
            if told.get(str(entry.path)) != entry.state:
                told[str(entry.path)] = entry.state
                console.print(_line(entry), soft_wrap=True)
        time.sleep(LOOK_EVERY_S)


def narrowed(listed: Listed, chosen: Sequence[State], last: int | None) -> Listed:
    """Those in one of the chosen states, any where none is chosen; the newest `last` of them."""
    kept = [entry for entry in listed.entries if not chosen or entry.state in chosen]
    return Listed(kept if last is None else kept[-last:], listed.unreadable)


def _live(console: Console, listed: Listed) -> RenderableType:
    """Those that run, and of the others as many of the newest as fit."""
    room = max(3, console.height - OTHER_LINES)
    others = sum(entry.state != "running" for entry in listed.entries)
    num_running = len(listed.entries) - others
    hidden = max(0, others - max(0, room - num_running))
    shown: list[Entry] = []
    for entry in listed.entries:
        if entry.state != "running" and hidden > 0:
            hidden -= 1
        else:
            shown.append(entry)
    parts: list[RenderableType] = [
        fitted_table(COLUMNS, _rows(shown[-room:]), console.width - 1),
        _summary(listed.entries),
    ]
    return Group(*parts, Text("Ctrl-C ends the watch, not the runs", "dim"))


def _rows(entries: Sequence[Entry]) -> list[list[Text]]:
    return [
        [
            Text(harmless(entry.group), "dim"),
            Text(harmless(entry.name)),
            Text(entry.state, STYLES[entry.state]),
            Text(_steps(entry)),
            Text(score_text(entry.val)),
            Text(score_text(entry.test), "bold"),
            Text(age_text(entry.age_s), "dim"),
            Text(duration(entry.left_s)),
        ]
        for entry in entries
    ]


def _steps(entry: Entry) -> str:
    if entry.step is None:
        return ""
    return f"{entry.step:,}" if entry.total is None else f"{entry.step:,}/{entry.total:,}"


def _summary(entries: Sequence[Entry]) -> Text:
    counts = Counter(entry.state for entry in entries)
    words = ", ".join(f"{counts[state]:,} {state}" for state in STYLES if counts[state])
    runs = "1 run" if len(entries) == 1 else f"{len(entries):,} runs"
    return Text(f"{runs}: {words}", "dim")


def _line(entry: Entry) -> str:
    words = [entry.group, entry.name, entry.state, _steps(entry)]
    words += [f"{name} {score:.3f}" for name, score in _scores(entry) if score is not None]
    return harmless("  ".join(word for word in words if word))


def _scores(entry: Entry) -> list[tuple[str, float | None]]:
    return [("val", entry.val), ("test", entry.test)]


def _first_line(error: str) -> str:
    return error.partition("\n")[0]


def age_text(seconds: float) -> str:
    """In the largest unit that fits: "12 s", "5 min", "3 h", "9 d"."""
    for unit, unit_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"
