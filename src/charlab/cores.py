"""How much of the machine this process has. Imports nothing heavy."""

import os
import sys


def num_cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
