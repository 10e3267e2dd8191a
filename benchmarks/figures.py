"""How the benchmarks show what they measured."""

import argparse
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table

from charlab import terminal


def parser(docstring: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has; its first line of help is that of the docstring."""
    made = argparse.ArgumentParser(description=docstring.splitlines()[0] if docstring else None)
    made.add_argument("--json", type=Path, help="also write the figures to this file")
    return made


def show(figures: Mapping[str, float], title: str, json_file: Path | None) -> None:
    """A table on the screen, and the figures in a file where that is wanted."""
    table = Table("figure", "value", title=title)
    for name, value in figures.items():
        table.add_row(name, f"{value:,.3f}")
    terminal.console().print(table)
    if json_file is not None:
        write(figures, json_file)


def show_rows(rows: Sequence[Mapping[str, str]], title: str) -> None:
    """A table with a line for each row; all rows have the same columns."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=0)
    for name in rows[0]:
        justify: Literal["left", "right"] = "left" if name in ("cell", "by") else "right"
        table.add_column(name.strip(), justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*row.values())
    terminal.console().print(table)


def write(plain: Any, json_file: Path) -> None:
    """Figures as JSON."""
    json_file.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")


def processor_name() -> str:
    """As the system calls it, "" where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")


def number(value: float | None, form: str) -> str:
    """In that format; nothing where there is none."""
    return "" if value is None else format(value, form)


def at_least(value: float, wanted: float | None) -> str:
    """What is wanted of the value, and whether it is met."""
    return "" if wanted is None else judged(f">= {wanted:.2f}", value >= wanted)


def at_most(value: float | None, wanted: float | None, form: str) -> str:
    """What is wanted of the value, and whether it is met."""
    return "" if value is None or wanted is None else judged(f"<= {wanted:{form}}", value <= wanted)


def judged(text: str, is_met: bool) -> str:
    return f"[green]{text} met[/]" if is_met else f"[red]{text} missed[/]"
