"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A column is on the right where each of its cells begins as a number does, or is empty."""
    lines = list(lines)
    rule = [
        "---:" if number > 0 and all(_is_number(line[number]) for line in lines) else "---"
        for number in range(len(heads))
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *lines))


def _is_number(cell: str) -> bool:
    start = cell.strip("*")[:1]
    return start == "" or start.isdigit() or start == "-"
