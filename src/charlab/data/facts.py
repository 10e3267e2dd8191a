"""Facts about data as people read them: a column of names beside a column of texts."""

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_facts(facts: Iterable[tuple[str, str]], console: Console) -> None:
    """One row a fact, its text as it is."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in facts:
        table.add_row(name, escape(text))
    console.print(table)


def shown(character: str) -> str:
    """A character where it stands alone: "space", and escapes for what cannot be seen."""
    return "space" if character == " " else visible(character)


def visible(text: str) -> str:
    r"""The text on one line: a line break is \n, what has no glyph is its escape."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
