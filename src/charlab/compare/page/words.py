"""How numbers and texts are written on the page."""

import html
from typing import Any

from charlab import terminal
from charlab.compare import sentences
from charlab.compare.sentences import number

NOTHING = "-"


def harmless(value: Any) -> str:
    """As in a terminal, of any value: what a page cannot hold, or what could disarrange it."""
    return terminal.harmless(str(value))


def in_figure(text: str) -> str:
    """The text for a figure, where "<b>" would be bold and "$x$" a formula; in one line."""
    line = " ".join(harmless(text).split())
    return html.escape(line, quote=False).replace("$", "&#36;")


def cut(text: str, most: int) -> str:
    """At most so many characters: of a longer text, its beginning and its end."""
    if len(text) <= most:
        return text
    end = (most - 1) // 3
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def bits(value: float | None, digits: int = 3) -> str:
    return NOTHING if value is None else number(value, digits)


def interval(low: float | None, high: float | None) -> str:
    return NOTHING if low is None or high is None else sentences.interval(low, high)


def count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


def plain(value: Any) -> str:
    """A value of a configuration or of a record."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return harmless(f"{value:g}" if isinstance(value, float) else value)
