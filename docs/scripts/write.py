"""Writes the tables and figures of the documents anew, from the records under docs/results.

    python docs/scripts/write.py           docs/results.md, README.md, docs/figures
    python docs/scripts/write.py --check   changes nothing; exits with 1 where a table is old

A table stands between `<!-- NAME -->` and `<!-- end of NAME -->`; the text around it is written by
hand.
"""

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import notebooks
import origins
import pictures
import speed
import tables
from records import RESULTS

DOCS = Path(__file__).parents[1]
DOCUMENTS = (DOCS / "results.md", DOCS.parent / "README.md")
FIGURES: dict[str, Callable[[Path], None]] = {
    "answer.png": pictures.draw_answer,
    "curves.png": pictures.draw_curves,
}
MARKED = re.compile(
    r"<!-- (?P<name>[\w-]+) -->\n(?P<block>.*?)<!-- end of (?P=name) -->", re.DOTALL
)


BLOCKS: dict[str, Callable[[], str]] = {
    **tables.BLOCKS,
    **notebooks.BLOCKS,
    **origins.BLOCKS,
    **{name: partial(of, RESULTS / "speed") for name, of in speed.BLOCKS.items()},
}


def renewed(text: str) -> str:
    """A document with all its tables written anew."""

    def anew(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- {name} -->\n{BLOCKS[name]()}\n<!-- end of {name} -->"

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
            print(
                f"{path} is not what the records say: python docs/scripts/write.py", file=sys.stderr
            )
        return 1 if outdated else 0
    for name, draw in FIGURES.items():
        draw(DOCS / "figures" / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
