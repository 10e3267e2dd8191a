"""A process that ends when the one that started it does, however that ended. Imports nothing heavy.

The parent holds the other end of a pipe, which is the child's standard input, and never writes to
it: when the parent is no more, killed with -9 even, the child reads the end of the pipe. This works
on every system, leaves no moment in which a death goes unnoticed, and needs no process in between.
"""

import os
import signal
import threading
import time

from charlab.grace import ORPHAN_S

# set by the parent, beside stdin=PIPE
VARIABLE = "CHARLAB_LIFELINE"


def end_with_parent() -> None:
    """From now on, end as after SIGTERM when the parent ends, by force where that takes too long.

    Does nothing in a process whose parent holds no lifeline.
    """
    if os.environ.pop(VARIABLE, None) is not None:  # it is not for the processes that we start
        threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHAN_S)
    os._exit(1)
