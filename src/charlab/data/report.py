"""How slow work is shown: a bar on a terminal, a line now and then elsewhere, or nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol, final

from rich import progress as bars
from rich.console import Console

# Work that is done sooner than this is not worth a word.
SHOW_AFTER_S = 1.0
# Between two plain lines: a log file wants few.
LINE_EVERY_S = 10.0


Unit = Literal["bytes", "symbols"]


class Progress(Protocol):
    """One piece of work under way."""

    def advance(self, num_units: int) -> None:
        """So much more is done."""


class Report(Protocol):
    """Where people hear of work that takes a while."""

    def note(self, line: str) -> None:
        """Say one line."""

    def progress(
        self, doing: str, num_units: int | None, num_done: int = 0, unit: Unit = "bytes"
    ) -> AbstractContextManager[Progress]:
        """Show the work that is done inside.

        doing      in words, "fetching enwik8"
        num_units  of the whole work, None where nobody knows
        num_done   of them done before
        """


@final
class SilentReport:
    """Says nothing: for tests, and for all ranks but the first."""

    def note(self, line: str) -> None:
        """Nothing."""

    @contextmanager
    def progress(
        self, doing: str, num_units: int | None, num_done: int = 0, unit: Unit = "bytes"
    ) -> Iterator["SilentReport"]:
        yield self

    def advance(self, num_units: int) -> None:
        """Nothing."""


@final
class ConsoleReport:
    """A live bar where the console is a terminal, plain lines elsewhere.

    clock  seconds, rising
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock

    def note(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

    @contextmanager
    def progress(
        self, doing: str, num_units: int | None, num_done: int = 0, unit: Unit = "bytes"
    ) -> Iterator[Progress]:
        if not self._console.is_terminal:
            yield _Lines(self.note, self._clock, doing, num_units, num_done, unit)
            return
        bar = _Bar(self._console, self._clock, doing, num_units, num_done, unit)
        try:
            yield bar
        finally:
            bar.close()


@final
class _Lines:
    def __init__(
        self,
        say: Callable[[str], None],
        clock: Callable[[], float],
        doing: str,
        num_units: int | None,
        num_done: int,
        unit: Unit,
    ) -> None:
        self._say = say
        self._clock = clock
        self._doing = doing
        self._show = _megabytes if unit == "bytes" else _whole
        self._unit = "MB" if unit == "bytes" else unit
        self._of = "" if num_units is None else f" of {self._show(num_units)}"
        self._num_done = num_done
        self._next_s = clock() + SHOW_AFTER_S

    def advance(self, num_units: int) -> None:
        self._num_done += num_units
        now_s = self._clock()
        if now_s >= self._next_s:
            self._say(f"{self._doing}: {self._show(self._num_done)}{self._of} {self._unit}")
            self._next_s = now_s + LINE_EVERY_S


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f}"


def _whole(number: int) -> str:
    return f"{number:,}"


@final
class _Bar:
    """Appears when the work has taken SHOW_AFTER_S, and goes when it is done."""

    def __init__(
        self,
        console: Console,
        clock: Callable[[], float],
        doing: str,
        num_units: int | None,
        num_done: int,
        unit: Unit,
    ) -> None:
        self._bar = bars.Progress(
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(),
            *(
                (bars.DownloadColumn(), bars.TransferSpeedColumn())
                if unit == "bytes"
                else (bars.TaskProgressColumn(),)
            ),
            bars.TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task(doing, total=num_units, completed=num_done)
        self._clock = clock
        self._show_at_s = clock() + SHOW_AFTER_S
        self._is_shown = False

    def advance(self, num_units: int) -> None:
        self._bar.advance(self._task, num_units)
        if not self._is_shown and self._clock() >= self._show_at_s:
            self._bar.start()
            self._is_shown = True

    def close(self) -> None:
        if self._is_shown:
            self._bar.stop()
