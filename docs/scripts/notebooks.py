"""Tables of what the two notebooks did, done again, from the records."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

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


# the notebook's own first epoch of all of enwik8, 1,945 batches: mean nats a character
THEIR_LOSS = {"custom_gru": 2.1979, "gru": 2.2711}
# seconds a batch as the notebook prints them
THEIR_BATCH_S = {"custom_gru": 0.6, "gru": 0.5}
BOTH = ("custom_gru", "gru")


def notebook_enwik8(group: str) -> str:
    """Mean loss and seconds a batch by progress, then over the epoch, ours and the notebook's."""
    of = {run.cell: run for run in runs(group)}
    parts = {cell: _rows_with(of[cell], "train/loss") for cell in BOTH}
    lines = []
    first = 1
    for custom, built_in in zip(*(parts[cell] for cell in BOTH), strict=True):
        assert custom["step"] == built_in["step"]
        label = f"{first} to {custom['step']}"
        lines.append((label, *_nats_and_seconds(custom), *_nats_and_seconds(built_in)))
        first = custom["step"] + 1
    batch_s = {cell: _batch_s(of[cell]) for cell in BOTH}
    epochs = [(f"**{_epoch_loss(of[cell]):.4f}**", f"**{batch_s[cell]:.2f}**") for cell in BOTH]
    lines.append((f"**epoch 0, {first - 1} batches**", *epochs[0], *epochs[1]))
    theirs = [(f"{THEIR_LOSS[cell]:.4f}", f"{THEIR_BATCH_S[cell]:.1f}") for cell in BOTH]
    lines.append(("the notebook's epoch 0, 1,945 batches", *theirs[0], *theirs[1]))
    heads = (
        "batches",
        *("custom GRU, nats/char", "s/batch"),
        *("built-in GRU, nats/char", "s/batch"),
    )
    return table(heads, lines)


def notebook_speed(group: str) -> str:
    """How many times as fast as the built-in the custom GRU is, ours and the notebook's."""
    batch_s = {run.cell: _batch_s(run) for run in runs(group)}
    ours = batch_s["gru"] / batch_s["custom_gru"]
    theirs = THEIR_BATCH_S["gru"] / THEIR_BATCH_S["custom_gru"]
    return (
        f"Custom against built-in: **{ours:.2f} times** as fast here, {theirs:.2f} in the notebook."
    )


def _rows_with(run: RunFacts, name: str) -> list[Mapping[str, Any]]:
    """The rows of metrics.jsonl that have a metric; train/loss is a mean since the row before."""
    lines = (run.path / "metrics.jsonl").read_bytes().splitlines()
    return [row for row in rows.parsed(lines) if name in row]


def _nats_and_seconds(part: Mapping[str, Any]) -> tuple[str, str]:
    return f"{part['train/loss']:.4f}", f"{part['perf/step_ms'] / 1000:.2f}"


def _epoch_loss(run: RunFacts) -> float:
    (row,) = _rows_with(run, "epoch/loss")
    return float(row["epoch/loss"])


def _batch_s(run: RunFacts) -> float:
    return float(run.record["train_s"]) / int(run.record["num_steps"])


BLOCKS: dict[str, Callable[[], str]] = {
    "padding": lambda: padding("notebook_padding"),
    "notebook-enwik8": lambda: notebook_enwik8("notebook_enwik8_head"),
    "notebook-speed": lambda: notebook_speed("notebook_enwik8_head"),
}
