"""Shows what a corpus of names holds: in the terminal, and its lengths as a histogram."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from charlab.data.facts import print_facts, shown
from charlab.data.names import NamesCorpus
from charlab.data.vocabulary import Vocabulary
from charlab.picture import COLOURS, drawing, label_bars

NUM_EXAMPLES = 12
NUM_COMMON = 12
MAX_LABELLED_BARS = 24


def describe_names(
    corpus: NamesCorpus, vocabulary: Vocabulary, console: Console, histogram_path: Path | None
) -> None:
    """Prints the corpus; draws the lengths of its items to `histogram_path` (PNG) if there is one.

    Lengths are in characters, without EOS; targets count the EOS of each item, as the loss does.
    UsageError where the picture cannot be written.
    """
    facts = _facts(corpus, vocabulary)
    if histogram_path is not None:
        draw_lengths(corpus, histogram_path)
        facts.append(("histogram", str(histogram_path)))
    print_facts(facts, console)


def _facts(corpus: NamesCorpus, vocabulary: Vocabulary) -> list[tuple[str, str]]:
    items = (*corpus.train, *corpus.val, *corpus.test)
    counts = Counter("".join(corpus.train))
    num_characters = counts.total()
    common = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:NUM_COMMON]
    longest = min(items, key=lambda item: (-len(item), item))
    return [
        ("source", corpus.source),
        (
            "lines",
            f"{corpus.num_lines:,}: {len(items):,} distinct items, "
            f"{corpus.num_duplicates:,} duplicates and {corpus.num_blank:,} blank lines dropped",
        ),
        (
            "splits",
            f"{len(corpus.train):,} train, {len(corpus.val):,} val, {len(corpus.test):,} test",
        ),
        ("lengths", f"mean {sum(map(len, items)) / len(items):.2f}, longest {len(longest)}"),
        ("longest", longest),
        ("examples", ", ".join(corpus.train[:NUM_EXAMPLES])),
        (
            "characters",
            f"{len(vocabulary.characters)} distinct in train: {''.join(vocabulary.characters)}",
        ),
        (
            "commonest",
            ", ".join(f"{shown(char)}:{count / num_characters:.1%}" for char, count in common),
        ),
        ("val lacks", _unknown(corpus.val, vocabulary)),
        ("test lacks", _unknown(corpus.test, vocabulary)),
    ]


def _unknown(items: Sequence[str], vocabulary: Vocabulary) -> str:
    """The characters of a split that train lacks, and how many of its targets are UNK for it."""
    text = "".join(items)
    unknown = set(vocabulary.unknown(text))
    if not unknown:
        return "nothing: train has all its characters"
    num_unknown = sum(character in unknown for character in text)
    num_targets = len(text) + len(items)
    return (
        f"{' '.join(sorted(map(shown, unknown)))}: "
        f"{num_unknown:,} of {num_targets:,} targets are unknown"
    )


def draw_lengths(corpus: NamesCorpus, path: Path) -> None:
    """A PNG with one bar a length, over all splits together."""
    items = (*corpus.train, *corpus.val, *corpus.test)
    counts = Counter(map(len, items))
    mean = sum(map(len, items)) / len(items)
    lengths = range(min(counts), max(counts) + 1)
    source = "the bundled list" if corpus.source == "bundled" else Path(corpus.source).name
    title = f"{len(items):,} distinct items of {source}"
    with drawing(path, title, f"mean length {mean:.2f}") as axes:
        heights = [counts[length] for length in lengths]
        bars = axes.bar(lengths, heights, width=0.85, color=COLOURS[0])
        if len(lengths) <= MAX_LABELLED_BARS:
            label_bars(axes, bars, "{:,.0f}")
        axes.set_xlabel("length in characters")
        axes.set_ylabel("items")
