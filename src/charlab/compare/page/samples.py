"""Texts of the variants side by side: the same prompt and temperature, each at its last step."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, final

from charlab.compare.comparison import ComparisonSet
from charlab.compare.page.look import Look
from charlab.compare.page.words import harmless
from charlab.reading.row_files import Row, last_samples

MOST_VARIANTS = 12
MOST_TEXTS = 6
MOST_CHARS = 500

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
        found = last_samples(run.path)
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


def _by_asked(found: Iterable[Row]) -> dict[Asked, list[str]]:
    texts: dict[Asked, list[str]] = {}
    for row in found:
        of_one = texts.setdefault((row["prompt"], float(row["temperature"])), [])
        if len(of_one) < MOST_TEXTS:
            of_one.append(_shown(row["text"]))
    return texts


def _shown(text: str) -> str:
    return harmless(text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}…")
