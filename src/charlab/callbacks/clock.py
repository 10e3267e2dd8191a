"""The time spent training, without validation, sampling and checkpoints."""

import time
from typing import final


@final
class TrainClock:
    """A stopwatch, at rest until training starts.

    Whatever interrupts training stops it, and the next batch starts it again; so interruptions
    that follow each other count once.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._running_since_s: float | None = None

    @property
    def seconds(self) -> float:
        if self._running_since_s is None:
            return self._seconds
        return self._seconds + time.perf_counter() - self._running_since_s

    def set(self, seconds: float) -> None:
        """Go on from there, at rest."""
        self._seconds, self._running_since_s = seconds, None

    def start(self) -> None:
        if self._running_since_s is None:
            self._running_since_s = time.perf_counter()

    def stop(self) -> None:
        self._seconds = self.seconds
        self._running_since_s = None
