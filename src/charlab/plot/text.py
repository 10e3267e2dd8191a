"""Text of any kind as a picture can show it: with glyphs there are, in lines of equal width."""

import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

# comes with matplotlib, as DejaVu Sans does; each of its characters is as wide as any other
MONOSPACE = "DejaVu Sans Mono"
# have what it lacks, where they are installed
FALLBACKS = (
    "DejaVu Sans",
    "Noto Sans Mono CJK JP",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "WenQuanYi Micro Hei Mono",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "MS Gothic",
    "Hiragino Sans",
    "Arial Unicode MS",
    "Noto Sans",
    "Noto Emoji",
    "Unifont",
)
# shown in the place of a line break, a tab, other control characters, what no font has
NEWLINE, TAB, CONTROL, NO_GLYPH = "↵", "→", "\ufffd", "□"


def families() -> list[str]:
    """The fonts to draw text with, in the order in which a glyph is looked for."""
    return [name for name, _ in _fonts()]


def drawable(text: str) -> str:
    """The text without line breaks, control characters, and characters that would have no glyph.

    One character for each that was there.
    """
    return "".join(map(_drawable, text))


@cache
def _drawable(char: str) -> str:
    if char in "\n\t":
        return NEWLINE if char == "\n" else TAB
    category = unicodedata.category(char)
    if category in ("Zl", "Zp"):  # separators of lines and paragraphs, which would end the text
        return NEWLINE
    if category.startswith("C"):
        return CONTROL
    return char if any(ord(char) in known for _, known in _fonts()) else NO_GLYPH


@cache
def _fonts() -> tuple[tuple[str, frozenset[int]], ...]:
    from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

    names = set(fontManager.get_font_names())
    found = []
    for name in (MONOSPACE, *(name for name in FALLBACKS if name in names)):
        file = Path(findfont(FontProperties(family=name)))
        found.append((name, frozenset(get_font(file).get_charmap())))
    return tuple(found)


def width_of(text: str) -> int:
    """Columns: two of a wide character, as of Chinese, none of one that joins the one before."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of at most `width` columns, cut anywhere; at least one."""
    line, columns = "", 0
    for char in text:
        wide = width_of(char)
        if columns + wide > width and line:
            yield line
            line, columns = "", 0
        line, columns = line + char, columns + wide
    yield line


def filled(items: Iterable[str], width: int, between: str = "   ") -> Iterator[str]:
    """Items side by side in lines of at most `width` columns; a longer one is cut."""
    line = ""
    for item in items:
        joined = line + between + item if line else item
        if line and width_of(joined) > width:
            yield line
            joined = item
        *whole, line = wrapped(joined, width)
        yield from whole
    if line:
        yield line
