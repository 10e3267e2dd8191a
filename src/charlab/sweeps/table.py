"""What a running sweep shows: a live table in a terminal, else a line for each event."""

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from charlab.fitted_table import Columns, duration, fitted_table, score_text
from charlab.sweeps.entry import Entry, Labels, State

REFRESH_S = 1.0
# rows of the live table, where the terminal is high enough
MAX_ROWS = 24
# lines of the terminal that are not for rows: summary, head of the table, what is left out
OTHER_LINES = 6
STYLES: dict[State, str] = {
    "finished": "green",
    "skipped": "dim green",
    "failed": "bold red",
    "pruned": "yellow",
    "interrupted": "yellow",
    "running": "cyan",
    "elsewhere": "magenta",
    "waiting": "dim",
}


# of states whose names say less where each has a line of its own
LINES: dict[State, str] = {"running": "started", "skipped": "finished elsewhere"}
# columns left free at the end of a line, for the "^C" of a terminal
FREE_COLUMNS = 4


COLUMNS = Columns(
    ("#", "job", "state", "step", "val", "best", "left", "time"),
    wide="job",
    least={"job": 14, "state": 9},
    left=("state",),
    gives_way=("time", "best", "left", "step", "val", "#"),
)


class View(ABC):
    """What the person at the screen sees of a sweep while it runs."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.labels = Labels(())
        self.num_jobs: int | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Leaves the terminal as it was."""
        yield

    @abstractmethod
    def tell(self, entry: Entry) -> None:
        """A job has another state."""

    @abstractmethod
    def show(self, entries: Sequence[Entry], num_jobs: int | None, workers: int) -> None:
        """All jobs as they are now. num_jobs: how many there will be, where that is known."""

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def _say_end(self, entry: Entry) -> None:
        assert entry.outcome is not None
        words = [entry.error or f"exit code {entry.outcome.exit_code}"]
        if entry.attempt is not None:
            words.append(f"see {entry.attempt.log}")
        self.say(f"{_place(entry, self.num_jobs)} {entry.state}: {'; '.join(words)}")


def view_for(console: Console) -> View:
    can_redraw = console.is_terminal and not console.is_dumb_terminal
    return LiveView(console) if can_redraw else LineView(console)


@final
class LineView(View):
    """A line for each start and each end; jobs that had finished before share one."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._told: list[Entry] = []

    def tell(self, entry: Entry) -> None:
        self._told.append(entry)

    def show(self, entries: Sequence[Entry], num_jobs: int | None, workers: int) -> None:
        self.num_jobs = num_jobs
        if not self._told:
            return
        labels = Labels([entry.job for entry in entries])
        told, self._told = self._told, []
        before = [entry for entry in told if entry.state == "skipped" and not entry.was_elsewhere]
        if before:
            self.say(f"{len(before):,} finished before")
        for entry in told:
            if entry.state == "failed" or entry.state == "interrupted":
                self._say_end(entry)
            elif entry not in before:
                state = LINES.get(entry.state, entry.state)
                what = f"{_place(entry, num_jobs)} {state} {labels.of(entry.job)}"
                self.say("  ".join(word for word in (what, _scores(entry)) if word))


def _place(entry: Entry, num_jobs: int | None) -> str:
    return f"[{entry.number}{'' if num_jobs is None else f'/{num_jobs}'}]"


def _scores(entry: Entry) -> str:
    if entry.outcome is None:
        return ""
    scores = {"val": entry.score("val/bpc"), "test": entry.score("test/bpc")}
    words = [f"{name} {score:.3f}" for name, score in scores.items() if score is not None]
    return "  ".join([*words, duration(entry.seconds)])


@final
class LiveView(View):
    """A table that is redrawn, of the jobs that run and those before and after them."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._began_s = time.monotonic()
        self._drawn_at_s = 0.0
        self._num_labelled = 0
        self._over: list[Entry] = []
        self._live = Live(console=console, auto_refresh=False, transient=True)

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._live:
            yield

    def tell(self, entry: Entry) -> None:
        self._drawn_at_s = 0.0
        if entry.outcome is not None:
            self._over.append(entry)
            if entry.state == "failed" or entry.state == "interrupted":
                self._say_end(entry)

    def show(self, entries: Sequence[Entry], num_jobs: int | None, workers: int) -> None:
        if time.monotonic() - self._drawn_at_s < REFRESH_S:
            return
        self._drawn_at_s = time.monotonic()
        self.num_jobs = num_jobs
        if len(entries) != self._num_labelled:
            self.labels = Labels([entry.job for entry in entries])
            self._num_labelled = len(entries)
        shown = self._chosen(entries)
        cells = [self._cells(entry) for entry in shown]
        table = fitted_table(COLUMNS, cells, self.console.width - FREE_COLUMNS)
        rest = Counter(entry.state for entry in entries)
        rest.subtract(entry.state for entry in shown)
        seconds = time.monotonic() - self._began_s
        parts: list[RenderableType] = [_summary(entries, num_jobs, workers, seconds), table]
        if more := ", ".join(f"{count:,} {state}" for state, count in rest.items() if count):
            parts.append(Text(f"not shown: {more}", "dim"))
        self._live.update(Group(*parts), refresh=True)

    def _chosen(self, entries: Sequence[Entry]) -> list[Entry]:
        """As many as fit: those that run, else those that were over last and the next to start."""
        num_rows = max(3, min(MAX_ROWS, self.console.height - OTHER_LINES))
        if len(entries) <= num_rows:
            return list(entries)
        running = [entry for entry in entries if entry.state == "running"][:num_rows]
        elsewhere = [entry for entry in entries if entry.state == "elsewhere"]
        waiting = [entry for entry in entries if entry.state == "waiting"]
        room = num_rows - len(running)
        active = running + elsewhere[: room // 3]
        room = num_rows - len(active)
        following = waiting[: room // 3]
        room -= len(following)
        return (self._over[-room:] if room else []) + active + following

    def _cells(self, entry: Entry) -> tuple[Text, ...]:
        progress = entry.progress
        best = progress.best if entry.outcome is None else entry.score("val/bpc")
        seconds = entry.seconds
        if entry.state == "running" and entry.attempt is not None:
            seconds = entry.attempt.seconds
        style = STYLES[entry.state]
        return (
            Text(str(entry.number), "dim"),
            Text(self.labels.of(entry.job), "dim" if entry.state == "waiting" else ""),
            Text(entry.state, style),
            Text(_steps(entry)),
            Text(score_text(progress.val)),
            Text(score_text(best)),
            Text(duration(progress.left_s) if entry.state == "running" else ""),
            Text(duration(seconds) if seconds else ""),
        )


def _steps(entry: Entry) -> str:
    """Of a run that had finished before, nobody has read the rows."""
    progress = entry.progress
    if progress.total is None:
        return ""
    return f"{progress.step:,}/{progress.total:,}"


def _summary(entries: Sequence[Entry], num_jobs: int | None, workers: int, seconds: float) -> Text:
    counts = Counter(entry.state for entry in entries)
    known = f" of {num_jobs:,}" if num_jobs is not None else ""
    over = sum(entry.outcome is not None for entry in entries)
    text = Text.assemble((f"{over:,}{known} jobs over", "bold"), f" · {duration(seconds)}")
    left_s = sweep_left_s(entries, num_jobs, workers)
    if left_s is not None:
        text.append(f", about {duration(left_s)} left")
    words = [f"{count:,} {state}" for state in STYLES if (count := counts[state])]
    return text.append(f"\n{', '.join(words)}")


def sweep_left_s(entries: Sequence[Entry], num_jobs: int | None, workers: int) -> float | None:
    """Seconds until all jobs are over, as long as those before them; None while nobody can say."""
    running = [entry for entry in entries if entry.state == "running" and entry.attempt]
    left = [entry.progress.left_s for entry in running]
    took = [entry.seconds for entry in entries if entry.state == "finished"]
    took = took or [
        entry.attempt.seconds + left_s
        for entry, left_s in zip(running, left)
        if left_s is not None and entry.attempt is not None
    ]
    num_waiting = sum(entry.state == "waiting" for entry in entries)
    num_waiting += 0 if num_jobs is None else max(0, num_jobs - len(entries))
    if not took:
        return None
    mean_s = sum(took) / len(took)
    lefts = [
        max(0.0, mean_s - entry.attempt.seconds) if left_s is None and entry.attempt else left_s
        for entry, left_s in zip(running, left)
    ]
    known = [left_s for left_s in lefts if left_s is not None]
    return max([*known, (sum(known) + num_waiting * mean_s) / workers])
