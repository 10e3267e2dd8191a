"""A thread for what may wait for the server, so that training does not."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import final


@final
class Sender:
    """Does what it is given, one thing after another; nobody waits for it but `close`."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # a daemon, as a process does not wait for such threads when it ends
        self._thread = threading.Thread(target=self._work, name="wandb-sender", daemon=True)
        self._thread.start()

    def send(self, action: Callable[[], None]) -> None:
        """The action may raise nothing."""
        self._queue.put(action)

    def close(self, timeout_s: float) -> bool:
        """Wait until all is done, or for that long; whether it is."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (action := self._queue.get()) is not None:
            action()
