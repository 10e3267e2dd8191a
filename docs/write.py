"""Writes the tables and figures of the documents anew, from the records under docs/results.

    python docs/write.py            docs/results.md, README.md, docs/figures
    python docs/write.py --check    changes nothing; exits with 1 where a table is not up to date

A table stands between `<!-- NAME -->` and `<!-- end of NAME -->`; the text around it is written by
hand.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pictures
import speed
import tables

DOCS = Path(__file__).parent
DOCUMENTS = (DOCS / "results.md", DOCS.parent / "README.md")
FIGURES: dict[str, Callable[[Path], None]] = {
    "answer.png": pictures.draw_answer,
    "curves.png": pictures.draw_curves,
}
MARKED = re.compile(
    r"<!-- (?P<name>[\w-]+) -->\n(?P<block>.*?)<!-- end of (?P=name) -->", re.DOTALL
)


def block(name: str) -> str:
    if name in speed.BLOCKS:
        return speed.BLOCKS[name](tables.RESULTS / "speed")
    return tables.BLOCKS[name]()


def renewed(text: str) -> str:
    """A document with all its tables written anew."""

    def anew(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- {name} -->\n{block(name)}\n<!-- end of {name} -->"

    return MARKED.sub(anew, text)


def main(words: list[str]) -> int:
    outdated = []
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        new = renewed(text)
        if new != text:
            outdated.append(path)
            if "--check" not in words:
                path.write_text(new, "utf-8")
    if "--check" in words:
        for path in outdated:
            print(f"{path} is not what the records say: python docs/write.py", file=sys.stderr)
        return 1 if outdated else 0
    for name, draw in FIGURES.items():
        draw(DOCS / "figures" / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
