"""Tables of what the two notebooks did, done again, from the records."""

from collections.abc import Callable, Sequence
from statistics import median

from records import drawn, runs
from tabular import table

from charlab import rows
from charlab.reading.facts import RunFacts


def padding(group: str) -> str:
    """The names notebook with and without its mistake; medians over seeds."""
    by_fill: dict[str | None, list[RunFacts]] = {None: [], "s": []}
    for run in runs(group):
        by_fill[run.config["data"]["fill"]].append(run)
    right, mistaken = by_fill[None], by_fill["s"]
    tokens = _median(right, "test/nats_per_name") / _median(right, "test/loss")
    lines = []
    for label, found in (("as it should be", right), ("with the mistake", mistaken)):
        names = _median(found, "test/nats_per_name")
        lines.append(
            (
                label,
                f"{_median(found, 'test/loss'):.3f}",
                f"{names:.2f}",
                f"{names / tokens:.3f}",
                ", ".join(f"`{text}`" for text in drawn(found[0])[:4]),
                ", ".join(f"`{text}`" for text in drawn(found[0], prompt=" Trump")[:4]),
            )
        )
    heads = (
        *("", "the loss it shows, nats", "nats/name", f"nats/name / {tokens:.2f}"),
        *("samples", 'samples after " Trump"'),
    )
    return table(heads, lines)


def _median(found: Sequence[RunFacts], name: str) -> float:
    return median(value for run in found if (value := run.score(name)) is not None)


# the notebook's own run: nats a character by epoch of the whole of enwik8, seconds a batch
THEIR_EPOCHS = {
    "custom_gru": (2.1979, 1.5336, 1.4431, 1.3984, 1.3703, 1.3507),
    "gru": (2.2711, 1.5493, 1.4537),
}
THEIR_BATCH_S = {"custom_gru": 0.6, "gru": 0.5}


def notebook_enwik8(group: str) -> str:
    """Mean loss over each part of the run, and seconds a batch, as the notebook prints them."""
    by_cell = {run.cell: run for run in runs(group)}
    ours, built_in = by_cell["custom_gru"], by_cell["gru"]
    epochs = {cell: _epochs(run) for cell, run in by_cell.items()}
    lines: list[tuple[str, ...]] = [
        (
            str(number),
            f"{epochs['custom_gru'][number]:.4f}",
            f"{epochs['gru'][number]:.4f}",
            f"{THEIR_EPOCHS['custom_gru'][number]:.4f}",
            f"{THEIR_EPOCHS['gru'][number]:.4f}" if number < 3 else "",
        )
        for number in range(len(epochs["gru"]))
    ]
    batch = {run.cell: run.record["train_s"] / run.record["num_steps"] for run in (ours, built_in)}
    lines.append(
        (
            "seconds a batch",
            f"{batch['custom_gru']:.2f}",
            f"{batch['gru']:.2f}",
            *(f"{THEIR_BATCH_S[cell]:.1f}" for cell in ("custom_gru", "gru")),
        )
    )
    ratio = THEIR_BATCH_S["gru"] / THEIR_BATCH_S["custom_gru"]
    lines.append(
        (
            "custom / built-in speed",
            f"{batch['gru'] / batch['custom_gru']:.2f}",
            "",
            f"{ratio:.2f}",
            "",
        )
    )
    heads = ("epoch", "custom GRU", "built-in GRU", "notebook: custom", "notebook: built-in")
    return table(heads, lines)


def _epochs(run: RunFacts) -> list[float]:
    lines = (run.path / "metrics.jsonl").read_bytes().splitlines()
    return [row["epoch/loss"] for row in rows.parsed(lines) if "epoch/loss" in row]


BLOCKS: dict[str, Callable[[], str]] = {
    "padding": lambda: padding("notebook_padding"),
    "notebook-enwik8": lambda: notebook_enwik8("notebook_enwik8_head"),
}
