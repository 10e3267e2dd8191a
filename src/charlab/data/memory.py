"""Giving memory back to the system. Imports nothing heavy."""

import ctypes
import sys


def give_back() -> None:
    """Return what was freed, where the C library keeps it for later.

    glibc keeps freed blocks of up to 32 MB, hundreds of MB after an n-gram fit, for as long as the
    process lives. Other libraries have no such call, and do without.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
