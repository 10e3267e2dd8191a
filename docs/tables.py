"""Tables and lines of docs/results.md, made from the records under docs/results.

Scores and intervals are those of `charlab compare`; what is worked out here is said in the table.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean, median

from charlab import rows
from charlab.compare.compare import compare
from charlab.compare.comparison import ComparisonSet, Estimate, Variant
from charlab.compare.sentences import how_pairs_are_judged, interval
from charlab.reading.facts import RunFacts
from charlab.reading.find import read_runs
from charlab.sweeps.search.tuning import best_of_k

RESULTS = Path(__file__).parent / "results"
BITS = 1 / math.log(2)  # of a nat
SHOWN_NGRAMS = 3
SHOWN_SAMPLES = 10
TRIALS = (1, 2, 4, 6, 8)


# ------------------------------------------------------------------------------------------ reading
@cache
def runs(group: str) -> tuple[RunFacts, ...]:
    return tuple(read_runs([str(RESULTS / group)]).runs)


@cache
def compared(group: str) -> ComparisonSet:
    """The one set of a group: all of it can be ranked."""
    comparison = compare(read_runs([str(RESULTS / group)]))
    assert not comparison.left_out, comparison.left_out
    assert not comparison.unreadable, comparison.unreadable
    (one,) = comparison.sets
    return one


def table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Markdown; columns after the first are numbers."""
    rule = ["---"] + ["---:"] * (len(heads) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *lines))


def score(estimate: Estimate | None, factor: float = 1) -> str:
    """ "3.274 [3.266, 3.281]" """
    assert estimate is not None
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean * factor:.3f}"
    ends = interval(estimate.low * factor, estimate.high * factor)
    return f"{estimate.mean * factor:.3f} {ends}"


def mean_of(found: Iterable[float | None]) -> float:
    return fmean(value for value in found if value is not None)


# -------------------------------------------------------------------------------- cells on one task
def cells_on_names(group: str) -> str:
    """Scores and the settings they were reached with; then n-grams, the best on validation bold."""
    of = compared(group)
    lines = [
        (
            f"`{variant.cell}`",
            f"{variant.num_params:,}",
            _settings(variant.runs[0], "optimizer.lr"),
            _settings(variant.runs[0], "model.dropout"),
            score(variant.val),
            f"**{score(variant.test)}**",
            score(variant.test, 1 / BITS),
            f"{mean_of(run.score('test/nats_per_name') for run in variant.runs):.2f}",
        )
        for variant in of.variants
    ]
    heads = (
        *("cell", "parameters", "learning rate", "dropout", "validation, bits/char"),
        *("test, bits/char", "test, nats/token", "nats/name"),
    )
    floors = [
        (f"{label}", *[""] * 3, f"{val:.3f}", f"{test:.3f}", f"{test / BITS:.3f}", "")
        for label, val, test in _best_floors(of)
    ]
    return table(heads, [*lines, *floors])


def cells_on_a_stream(group: str) -> str:
    of = compared(group)
    lines = [
        (
            f"`{variant.cell}`",
            f"{variant.num_params:,}",
            f"{variant.state_size:,}",
            score(variant.val),
            f"**{score(variant.test)}**",
        )
        for variant in of.variants
    ]
    floors = [(label, "", "", f"{val:.3f}", f"{test:.3f}") for label, val, test in _all_floors(of)]
    unit = f"bits/{of.unit}"
    heads = ("cell", "parameters", "state", f"validation, {unit}", f"test, {unit}")
    return table(heads, [*lines, *floors])


def _best_floors(of: ComparisonSet) -> list[tuple[str, float, float]]:
    """The n-grams that come nearest, in their order."""
    ngrams = [floor for floor in of.floors if floor.label.endswith("-gram")]
    nearest = sorted(ngrams, key=lambda floor: floor.val_bpc)[:SHOWN_NGRAMS]
    return [(f.label, f.val_bpc, f.test_bpc) for f in of.floors if f in nearest]


def _all_floors(of: ComparisonSet) -> list[tuple[str, float, float]]:
    return [
        (floor.label, floor.val_bpc, floor.test_bpc)
        for floor in sorted(of.floors, key=lambda floor: floor.test_bpc)
    ]


def _settings(run: RunFacts, option: str) -> str:
    section, _, name = option.partition(".")
    return f"{run.config[section][name]:.3g}"


def differences(group: str) -> str:
    """A sentence for each pair, the largest difference first, and how they are judged."""
    of = compared(group)
    return "\n".join(
        [*(f"- {pair.sentence}" for pair in of.pairs), "", f"({how_pairs_are_judged(of, 0.95)}.)"]
    )


def crowd(group: str) -> str:
    """What 5,000 samples of each cell are like, means over seeds, and ten of the first seed."""
    heads = ("cell", "ended", "unique", "not in train", "held-out drawn", "at temperature 1")
    lines = [
        (
            f"`{variant.cell}`",
            *(
                f"{mean_of(run.record['samples'][name] for run in variant.runs):.3f}"
                for name in ("ended", "unique", "novel", "held_out")
            ),
            ", ".join(drawn(variant.runs[0])),
        )
        for variant in compared(group).variants
    ]
    return table(heads, lines)


def drawn(run: RunFacts, temperature: float = 1.0, prompt: str = "") -> list[str]:
    lines = (run.path / "samples.jsonl").read_bytes().splitlines()
    found = [
        str(row["text"])
        for row in rows.parsed(lines)
        if row["temperature"] == temperature and row["prompt"] == prompt
    ]
    return found[:SHOWN_SAMPLES]


# ------------------------------------------------------------------------------------------- tuning
def tuning(group: str) -> str:
    """As many trials of each cell: what to expect of the best of k, and the best of all."""
    trials: dict[str, list[RunFacts]] = {}
    for run in runs(group):
        trials.setdefault(run.cell, []).append(run)
    counts = {len(found) for found in trials.values()}
    assert len(counts) == 1, f"cells have {counts} trials"
    lines = []
    for cell, found in sorted(trials.items(), key=lambda pair: min(map(val, pair[1]))):
        expected = best_of_k([val(run) for run in found], "minimize")
        best = min(found, key=val)
        lines.append(
            (
                f"`{cell}`",
                str(len(found)),
                *(f"{expected[k - 1]:.3f}" for k in TRIALS if k <= len(found)),
                _settings(best, "optimizer.lr"),
                _settings(best, "model.dropout"),
            )
        )
    heads = (
        *("cell", "trials"),
        *(f"best of {k}" for k in TRIALS if k <= max(counts)),
        *("its learning rate", "its dropout"),
    )
    return table(heads, lines)


def val(run: RunFacts) -> float:
    found = run.score("val/bpc")
    assert found is not None, run.path
    return found


# ---------------------------------------------------------------------------------------- notebooks
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
    lines = [
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


# --------------------------------------------------------------------------------- where it is from
def origin(groups: Sequence[str]) -> str:
    """Runs, commit, versions and machine of each group."""
    lines = []
    for group in groups:
        found = runs(group)
        records = [run.record for run in found]
        commits = {str(record["git"]["commit"])[:10] for record in records}
        seconds = sum(record["seconds"] for record in records)
        data = records[0]["data"]
        lines.append(
            (
                f"[{group}](results/{group})",
                str(len(found)),
                f"{seconds / 60:.0f}",
                f"{data['fingerprint']}",
                ", ".join(sorted(commits)),
                ", ".join(sorted({record["started"][:10] for record in records})),
            )
        )
    heads = ("group", "runs", "minutes of them", "data", "commit", "date")
    return table(heads, lines)


def versions(groups: Sequence[str]) -> str:
    """One line, the same for all runs."""
    found = {
        (tuple(run.record["versions"].items()), run.record["hardware"]["cpu_cores"])
        for group in groups
        for run in runs(group)
    }
    ((named, cores),) = found
    listed = ", ".join(f"{name} {version}" for name, version in named)
    return f"All on {cores} CPU cores without a GPU: {listed}."


# --------------------------------------------------------------------------------------- the answer
TASKS: Mapping[str, tuple[str, str]] = {
    "tuned_names": ("bundled names", "char"),
    "tuned_kantrowitz": ("Kantrowitz's names", "char"),
    "cells_enwik8_head": ("4 MB of Wikipedia", "byte"),
    "cells_stream": ("Python's library", "byte"),
}


def answer() -> str:
    """A row for each cell, a column for each task: test bits with their interval."""
    sets = {group: compared(group) for group in TASKS}
    by_cell: dict[str, dict[str, Variant]] = {}
    for group, of in sets.items():
        for variant in of.variants:
            by_cell.setdefault(variant.cell, {})[group] = variant
    order = sorted(by_cell, key=lambda cell: sum(map(_mean, by_cell[cell].values())))
    lines = [
        (f"`{cell}`", *(_cell(sets[group], by_cell[cell][group]) for group in TASKS))
        for cell in order
    ]
    best = [of.best_floor for of in sets.values()]
    lines.append(
        ("best n-gram", *(f"{floor.test_bpc:.3f} ({floor.label})" for floor in best if floor))
    )
    configs = [of.variants[0].runs[0].config["model"] for of in sets.values()]
    lines.append(("parameters", *(f"{config['match_params']:,.0f}" for config in configs)))
    lines.append(("seeds", *(str(len(of.variants[0].runs)) for of in sets.values())))
    heads = ("", *(f"{label}, bits/{unit}" for label, unit in TASKS.values()))
    return table(heads, lines)


def _mean(variant: Variant) -> float:
    assert variant.test is not None
    return variant.test.mean


def _cell(of: ComparisonSet, variant: Variant) -> str:
    """Bold: no other cell is shown to be better."""
    is_beaten = any(pair.worse == variant.label and pair.verdict == "beats" for pair in of.pairs)
    return score(variant.test) if is_beaten else f"**{score(variant.test)}**"


GROUPS = (
    *("tuning_names", "tuned_names", "tuning_kantrowitz", "tuned_kantrowitz"),
    *("cells_enwik8_head", "cells_stream", "notebook_padding", "notebook_enwik8_head"),
)

BLOCKS: dict[str, Callable[[], str]] = {
    "answer": answer,
    "names": lambda: cells_on_names("tuned_names"),
    "names-differences": lambda: differences("tuned_names"),
    "names-tuning": lambda: tuning("tuning_names"),
    "names-samples": lambda: crowd("tuned_names"),
    "kantrowitz": lambda: cells_on_names("tuned_kantrowitz"),
    "kantrowitz-differences": lambda: differences("tuned_kantrowitz"),
    "kantrowitz-tuning": lambda: tuning("tuning_kantrowitz"),
    "kantrowitz-samples": lambda: crowd("tuned_kantrowitz"),
    "enwik8-head": lambda: cells_on_a_stream("cells_enwik8_head"),
    "enwik8-head-differences": lambda: differences("cells_enwik8_head"),
    "stdlib": lambda: cells_on_a_stream("cells_stream"),
    "stdlib-differences": lambda: differences("cells_stream"),
    "padding": lambda: padding("notebook_padding"),
    "notebook-enwik8": lambda: notebook_enwik8("notebook_enwik8_head"),
    "origin": lambda: origin(GROUPS),
    "versions": lambda: versions(GROUPS),
}
