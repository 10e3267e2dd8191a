"""Signals that end a run: at once, or at the next step, with all that it takes to go on."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import final

from charlab.processes import ENDING_SIGNALS


@final
class EndingSignals:
    """What the signals that end a process do to a run.

    At first, and after training, they raise SystemExit. While `deferred`, they are only remembered
    in `asked`: training ends itself where it can go on later. Once they are ignored they do
    nothing: W&B takes up to ten seconds to end a run, and is not to be cut short. But a second
    SIGINT ends the process there and then, whatever it is at.

    is_over  whether the run has come to its end elsewhere, so that there is no point in deferring
    """

    def __init__(self, is_over: Callable[[], bool] = lambda: False) -> None:
        self.deferred = False
        self.asked: int | None = None
        self._is_over = is_over
        self._ignored = False
        self._num_interrupts = 0

    @contextmanager
    def handled(self) -> Iterator[None]:
        """In here it is so. Signals that are ignored from the start (nohup) stay so."""
        handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
        before = {number: old for number, old in handlers.items() if old is not signal.SIG_IGN}
        for number in before:
            signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def ignore(self) -> None:
        self._ignored = True

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT:
            self._num_interrupts += 1
            if self._num_interrupts > 1:
                quit_now()
        if self._ignored:
            return
        self.asked = signum
        if not self.deferred or self._is_over():
            raise SystemExit(128 + signum)


def quit_now() -> None:
    """End the process without anything more; its run can go on from its last checkpoint."""
    # what a live bar has hidden
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
    os.write(2, f"{show_cursor}interrupted twice: ended at once\n".encode())
    os._exit(130)
