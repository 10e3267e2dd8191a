"""Texts of the variants side by side: the same prompt and temperature, each at its last step."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, final

from charlab import rows
from charlab.compare.comparison import ComparisonSet
from charlab.compare.page.look import Look
from charlab.compare.page.words import harmless

MOST_VARIANTS = 12
MOST_TEXTS = 6
MOST_CHARS = 500
# read at a time, from the end of a file
BLOCK_BYTES = 2**16

Asked = tuple[str, float]


@final
class Texts(NamedTuple):
    """What one variant wrote; shown harmless."""

    look: Look
    texts: Sequence[str]


@final
class Block(NamedTuple):
    """The variants side by side, after one prompt at one temperature."""

    prompt: str
    temperature: float
    columns: Sequence[Texts]


@final
class Samples(NamedTuple):
    """blocks: of what two variants or more were asked; drawn: by which run, at which step."""

    blocks: Sequence[Block]
    drawn: Sequence[tuple[Look, str, int]]


def samples(one: ComparisonSet, looks: dict[str, Look]) -> Samples:
    """Of the best MOST_VARIANTS variants, from the run of each with its first seed."""
    last: dict[str, dict[Asked, list[str]]] = {}
    drawn = []
    for variant in one.variants[:MOST_VARIANTS]:
        run = variant.runs[0]
        found = last_samples(run.path / "samples.jsonl")
        if found:
            last[variant.label] = _by_asked(found)
            drawn.append((looks[variant.label], run.name, int(found[0]["step"])))
    asked = list(dict.fromkeys(key for texts in last.values() for key in texts))
    shared = [
        key for key in asked if sum(key in texts for texts in last.values()) >= min(2, len(last))
    ]
    blocks = [
        Block(
            harmless(key[0]),
            key[1],
            [Texts(looks[label], texts[key]) for label, texts in last.items() if key in texts],
        )
        for key in shared
    ]
    return Samples(blocks, drawn)


def _by_asked(found: Iterable[dict[str, Any]]) -> dict[Asked, list[str]]:
    texts: dict[Asked, list[str]] = {}
    for row in found:
        of_one = texts.setdefault((row["prompt"], float(row["temperature"])), [])
        if len(of_one) < MOST_TEXTS:
            of_one.append(_shown(row["text"]))
    return texts


def _shown(text: str) -> str:
    return harmless(text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}…")


def last_samples(file: Path) -> list[dict[str, Any]]:
    """The rows of the last step; empty where there is no file. Damaged rows are passed over.

    Read from the end: before it are those of all other steps.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            length = min(size, BLOCK_BYTES)
            while True:
                opened.seek(size - length)
                lines = opened.read(length).split(b"\n")
                # the first line of a block may have lost its beginning
                found = [row for row in rows.parsed(lines[length < size :]) if _is_whole(row)]
                if length == size or (found and found[0]["step"] != found[-1]["step"]):
                    break
                length = min(size, 4 * length)
    except FileNotFoundError:
        return []
    return [row for row in found if row["step"] == found[-1]["step"]]


def _is_whole(row: dict[str, Any]) -> bool:
    texts = isinstance(row.get("prompt"), str) and isinstance(row.get("text"), str)
    return texts and isinstance(row.get("temperature"), int | float)
