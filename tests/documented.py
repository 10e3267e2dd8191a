"""What documents show: their commands, line by line, and the rows of their tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SHELLS = ("bash", "sh", "console")
# what a block without a language begins with where it holds commands and not what they print
PROGRAMS = (
    "python",
    "charlab",
    "make",
    "wandb",
    "pip",
    "srun",
    "sbatch",
    "sh",
    "pytest",
    ".",
    "cd",
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<!`)`((?:python train\.py|charlab)\s[^`]+)`(?!`)")
# a line of a script that is no command of ours: control, comments, variables
SYNTAX = re.compile(r"^(#|if |then|else|fi\b|for |do\b|done\b|\w+=)")


@dataclass(frozen=True)
class Command:
    """A command of a document.

    words    as it is typed, on one line, without its comment
    printed  the lines below it, where the document shows what it prints
    """

    document: str
    words: str
    printed: tuple[str, ...] = ()
    script: bool = False

    def __str__(self) -> str:
        return f"{self.document}: {self.words}"


def commands_of(path: Path) -> list[Command]:
    """The commands of all fenced blocks, in order; of scripts, those that start something."""
    text = path.read_text("utf-8")
    found = []
    for language, block in FENCE.findall(text):
        if "\n$ " in f"\n{block}":
            found.extend(_prompts(path.name, block))
        elif language in SHELLS:
            found.extend(_lines(path.name, block, script=True))
        elif not language and block.split(maxsplit=1)[0] in PROGRAMS:
            found.extend(_lines(path.name, block, script=False))
    return found


def scripts_of(path: Path) -> list[str]:
    """The blocks of a shell's language, whole."""
    blocks = FENCE.findall(path.read_text("utf-8"))
    return [
        block for language, block in blocks if language in SHELLS and "\n$ " not in f"\n{block}"
    ]


def inline_commands_of(path: Path) -> list[Command]:
    """The commands of train.py and charlab in the sentences and tables, fenced blocks aside."""
    text = FENCE.sub("", path.read_text("utf-8")).replace("\\|", "|")
    return [Command(path.name, " ".join(words.split())) for words in INLINE.findall(text)]


def table_rows(text: str, first: str) -> Iterator[list[str]]:
    """The cells of each row of the tables whose first column is called so."""
    is_in = False
    for line in text.splitlines():
        cells = [one.strip().replace("\\|", "|") for one in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            is_in = False
        elif cells[0] == first:
            is_in = True
        elif is_in and not set(cells[0]) <= {"-", ":"}:
            yield cells


def _prompts(document: str, block: str) -> Iterator[Command]:
    for part in f"\n{_joined(block)}".split("\n$ ")[1:]:
        line, *printed = part.splitlines()
        yield Command(document, _bare(line), tuple(printed))


def _lines(document: str, block: str, *, script: bool) -> Iterator[Command]:
    for line in _joined(block).splitlines():
        words = _bare(line)
        if words and not (script and SYNTAX.match(words)):
            yield Command(document, words, script=script)


def _joined(block: str) -> str:
    return re.sub(r"\s*\\\n\s*", " ", block)


def _bare(line: str) -> str:
    """Without the comment behind it, which two spaces or the start of the line set apart."""
    return re.sub(r"(^|\s\s+)# .*$|^#.*$", "", line).strip()
