"""How the cells and the figures look: colours in both themes, lines, marks.

A figure is drawn in the colours of the light theme; the page replaces each by its partner in the
dark one. All colours have a contrast of 3 or more on their background, and those of cells can be
told apart with any one kind of cone missing (tests/compare/test_page_parts.py measures both).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

from charlab.compare.comparison import Comparison

LIGHT_PAPER, DARK_PAPER = "#ffffff", "#14161a"
# (light, dark)
COLOURS = (
    ("#0b50d0", "#7f8ff5"),
    ("#b06500", "#e8702a"),
    ("#149aaf", "#4dc6c9"),
    ("#7e255a", "#b8709a"),
    ("#e0307a", "#f2e86b"),
    ("#443014", "#e1bc6c"),
    ("#9d6bfe", "#7861e8"),
    ("#2e0d9c", "#b6f2e6"),
)
INK = ("#1c1f24", "#e8e8e6")
QUIET = ("#666b73", "#9aa0a8")
LINES = ("#e3e4e6", "#2c3036")
# once all colours are taken, they come again with the next kind of line and mark
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down")
BAND_ALPHA = 0.16


@final
@dataclass(frozen=True)
class Look:
    """How a cell is drawn wherever it is; number: its place among the labels of the page."""

    number: int
    label: str

    @property
    def colours(self) -> tuple[str, str]:
        return COLOURS[self.number % len(COLOURS)]

    @property
    def colour(self) -> str:
        return self.colours[0]

    @property
    def band_colour(self) -> str:
        return faint(self.colour)

    @property
    def dash(self) -> str:
        return DASHES[self.number // len(COLOURS) % len(DASHES)]

    @property
    def mark(self) -> str:
        return MARKS[self.number // len(COLOURS) % len(MARKS)]


def looks(comparison: Comparison) -> dict[str, Look]:
    """By label: the same label looks the same whatever its score."""
    labels = sorted({v.label for one in comparison.sets for v in one.variants})
    return {label: Look(number, label) for number, label in enumerate(labels)}


def faint(colour: str) -> str:
    """The colour of a band around a line of this colour."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{BAND_ALPHA})"


def partners() -> dict[str, str]:
    """The dark colour of every light one that a figure may have."""
    pairs: Iterable[tuple[str, str]] = (*COLOURS, INK, QUIET, LINES, (LIGHT_PAPER, DARK_PAPER))
    found: Mapping[str, str] = dict(pairs)
    return {**found, **{faint(light): faint(dark) for light, dark in COLOURS}}
