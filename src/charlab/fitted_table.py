"""A table that fits the terminal: columns give way one after another, one column takes the rest.

Imports nothing heavy.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, final

from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text


@final
class Columns(NamedTuple):
    """What a table shows.

    names     of all columns, in their order
    wide      the one that takes what room is left, and is cut where it is not enough
    least     how narrow a column may become
    left      those whose text is on the left, as that of `wide` is; numbers are on the right
    gives_way the columns that may go, the first one first
    """

    names: tuple[str, ...]
    wide: str
    least: Mapping[str, int]
    left: tuple[str, ...]
    gives_way: tuple[str, ...]

    def shown(
        self, width: int, rows: Sequence[Sequence[Text]], *, with_empty: bool = True
    ) -> list[str]:
        """Those that fit; the wide one is as narrow as it may be before another goes.

        with_empty: also columns that may go and in which no row has anything
        """
        widths = {
            name: max([len(name), self.least.get(name, 0), *(row[place].cell_len for row in rows)])
            for place, name in enumerate(self.names)
        }
        widths[self.wide] = self.least[self.wide]
        shown = [
            name
            for place, name in enumerate(self.names)
            if with_empty or name not in self.gives_way or any(row[place].plain for row in rows)
        ]
        for name in filter(shown.__contains__, self.gives_way):
            if sum(widths[one] for one in shown) + len(shown) - 1 <= width:
                break
            shown.remove(name)
        return shown


def fitted_table(
    columns: Columns, rows: Sequence[Sequence[Text]], width: int, *, fills: bool = True
) -> Table:
    """The rows, a cell a column of `columns.names`.

    fills: take the width, be it needed or not, and keep columns in which nothing is yet: a table
    that is drawn again and again stays as it is
    """
    shown = columns.shown(width, rows, with_empty=fills)
    places = [columns.names.index(name) for name in shown]
    needed = sum(max([len(columns.names[n]), *(row[n].cell_len for row in rows)]) for n in places)
    fills = fills or needed + len(shown) - 1 > width
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.width = width if fills else None
    for name in shown:
        least = columns.least.get(name)
        if name == columns.wide:
            ratio = 1 if fills else None
            table.add_column(name, ratio=ratio, no_wrap=True, overflow="ellipsis", min_width=least)
        else:
            justify: JustifyMethod = "left" if name in columns.left else "right"
            table.add_column(name, justify=justify, no_wrap=True, min_width=least)
    for row in rows:
        table.add_row(*(row[place] for place in places))
    return table


def score_text(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"


def duration(seconds: float | None) -> str:
    """H:MM:SS; empty for None."""
    return "" if seconds is None else str(timedelta(seconds=round(seconds)))
