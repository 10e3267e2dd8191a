"""Shows what a corpus of names holds: in the terminal, and its lengths as a histogram."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from charlab.data.names import NamesCorpus
from charlab.data.vocabulary import Vocabulary

NUM_EXAMPLES = 12
NUM_COMMON = 12
MAX_LABELLED_BARS = 24


def describe_names(
    corpus: NamesCorpus, vocabulary: Vocabulary, console: Console, histogram_path: Path | None
) -> None:
    """Prints the corpus; draws the lengths of its items to `histogram_path` (PNG) if there is one.

    Lengths are in characters, without EOS; targets count the EOS of each item, as the loss does.
    """
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    facts = _facts(corpus, vocabulary)
    if histogram_path is not None:
        draw_lengths(corpus, histogram_path)
        facts.append(("histogram", str(histogram_path)))
    for label, text in facts:
        table.add_row(label, escape(text))
    console.print(table)


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


def shown(character: str) -> str:
    return "space" if character == " " else character


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
    # matplotlib takes most of a second to import, and only this function needs it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    items = (*corpus.train, *corpus.val, *corpus.test)
    counts = Counter(map(len, items))
    mean = sum(map(len, items)) / len(items)
    lengths = range(min(counts), max(counts) + 1)

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    bars = axes.bar(lengths, [counts[length] for length in lengths], width=0.85, color="#4c78a8")
    if len(lengths) <= MAX_LABELLED_BARS:
        background = {"color": "white", "pad": 0.5}  # hides the grid line behind a label
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=7, color="#555555", bbox=background, padding=2)
    source = "the bundled list" if corpus.source == "bundled" else Path(corpus.source).name
    # parse_math: a "$" in the name of a file is no formula.
    axes.set_title(f"{len(items):,} distinct items of {source}", loc="left", parse_math=False)
    axes.set_title(f"mean length {mean:.2f}", loc="right", fontsize=10, color="#555555")
    axes.set_xlabel("length in characters")
    axes.set_ylabel("items")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=20, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.margins(x=0.01, y=0.07)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")
