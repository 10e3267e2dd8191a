"""The streams of the terminal, whatever it can show. Imports nothing heavy."""

import io
import sys


def take_any_character() -> None:
    """Let a character that the terminal's encoding lacks be shown as "?", not end the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
