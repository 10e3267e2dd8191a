"""How the benchmarks show what they measured."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from charlab import screen


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
    screen.console().print(table)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
