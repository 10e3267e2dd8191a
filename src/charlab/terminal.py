"""The terminal: its streams, whatever it can show, and the console. Imports nothing heavy."""

import io
import os
import shutil
import sys
import traceback
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from charlab.errors import CharlabError

if TYPE_CHECKING:
    from rich.console import Console

# a line longer than this is hard to read, and one of a log file need not be 80 wide
LOG_WIDTH = 120
# letters that turn the direction of what follows them, up to the end of the line or the page
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def console() -> "Console":
    """The terminal, or plain lines where the output goes to a file."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else LOG_WIDTH)


def take_any_character() -> None:
    """Let a character that the terminal's encoding lacks be shown as "?", not end the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def tell(error: CharlabError) -> int:
    """Print an error, after its traceback under CHARLAB_DEBUG=1. The exit code that it asks for."""
    if os.environ.get("CHARLAB_DEBUG") == "1":
        traceback.print_exception(error)
    is_plain = not sys.stderr.isatty() or "NO_COLOR" in os.environ
    print("error: " if is_plain else "\x1b[1;31merror: \x1b[0m", error, sep="", file=sys.stderr)
    return error.exit_code


def callable_name(name: str) -> str:
    """How this shell calls a command of the environment that runs now."""
    here = Path(sys.prefix, "bin", name)
    if shutil.which(name) == str(here) or not here.exists():
        return name
    return str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)


def harmless(text: str) -> str:
    """The text with U+FFFD for what could do anything to a terminal or a page.

    That is control characters, letters that turn what follows them, and halves of characters.
    """
    return "".join("\ufffd" if char in TURNING or _is_control(char) else char for char in text)


def _is_control(char: str) -> bool:
    # Cs: half of a character, which UTF-8 cannot write
    return unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t"
