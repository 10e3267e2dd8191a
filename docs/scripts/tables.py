"""Tables of cells on one task, and of all of them, from the records.

Scores and intervals are those of `charlab compare`; what is worked out here is said in the table.
"""

import math
from collections.abc import Callable, Mapping

from records import compared, drawn, mean_of, runs, score, setting
from tabular import table

from charlab.compare.comparison import ComparisonSet, Variant
from charlab.compare.sentences import how_pairs_are_judged
from charlab.reading.facts import RunFacts
from charlab.sweeps.search.tuning import best_of_k

BITS = 1 / math.log(2)  # of a nat
SHOWN_NGRAMS = 3
TRIALS = (1, 2, 4, 6, 8)


def cells_on_names(group: str) -> str:
    """Scores and the settings they were reached with; then n-grams, the best on validation bold."""
    of = compared(group)
    lines = [
        (
            f"`{variant.cell}`",
            f"{variant.num_params:,}",
            setting(variant.runs[0], "optimizer.lr"),
            setting(variant.runs[0], "model.dropout"),
            score(variant.val),
            _cell(of, variant),
            score(variant.test, 1 / BITS),
            f"{mean_of(run.score('test/nats_per_name') for run in variant.runs):.2f}",
            f"{mean_of(map(_best_at, variant.runs)):.0%}",
        )
        for variant in of.variants
    ]
    heads = (
        *("cell", "parameters", "learning rate", "dropout", "validation, bits/char"),
        *("test, bits/char", "test, nats/token", "nats/name", "best at"),
    )
    floors = [
        (f"{label}", *[""] * 3, f"{val:.3f}", f"{test:.3f}", f"{test / BITS:.3f}", "", "")
        for label, val, test in _best_floors(of)
    ]
    return table(heads, [*lines, *floors])


def _best_at(run: RunFacts) -> float:
    """The part of the budget after which validation was best."""
    return float(run.scores["best_step"]) / int(run.record["total_steps"])


def cells_on_a_stream(group: str) -> str:
    of = compared(group)
    lines = [
        (
            f"`{variant.cell}`",
            f"{variant.num_params:,}",
            f"{variant.state_size:,}",
            setting(variant.runs[0], "optimizer.lr"),
            score(variant.val),
            _cell(of, variant),
        )
        for variant in of.variants
    ]
    floors = [
        (label, *[""] * 3, f"{val:.3f}", f"{test:.3f}") for label, val, test in _all_floors(of)
    ]
    unit = f"bits/{of.unit}"
    heads = (
        *("cell", "parameters", "state", "learning rate"),
        *(f"validation, {unit}", f"test, {unit}"),
    )
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


def differences(group: str) -> str:
    """A sentence for each pair, the largest difference first, and how they are judged."""
    of = compared(group)
    return "\n".join(
        [*(f"- {pair.sentence}" for pair in of.pairs), "", f"({how_pairs_are_judged(of, 0.95)}.)"]
    )


def crowd(group: str) -> str:
    """What 5,000 samples of each run are like, means over seeds; and what the first drew last."""
    heads = ("cell", "ended", "unique", "not in train", "held-out drawn", "T=1", "T=0.5")
    lines = [
        (
            f"`{variant.cell}`",
            *(
                f"{mean_of(run.record['samples'][name] for run in variant.runs):.3f}"
                for name in ("ended", "unique", "novel", "held_out")
            ),
            *(", ".join(drawn(variant.runs[0], temperature)) for temperature in (1.0, 0.5)),
        )
        for variant in compared(group).variants
    ]
    return table(heads, lines)


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
                setting(best, "optimizer.lr"),
                setting(best, "model.dropout"),
            )
        )
    heads = (
        *("cell", "trials"),
        *(f"best of {k}" for k in TRIALS if k <= max(counts)),
        *("its learning rate", "its dropout"),
    )
    return table(heads, lines)


def learning_rates(group: str) -> str:
    """The validation that each cell reaches with each learning rate, the best of a cell bold."""
    rates: dict[str, dict[float, float]] = {}
    for run in runs(group):
        rates.setdefault(run.cell, {})[float(run.config["optimizer"]["lr"])] = val(run)
    (tried,) = {tuple(sorted(found)) for found in rates.values()}
    lines = []
    for cell, found in sorted(rates.items(), key=lambda pair: min(pair[1].values())):
        best = min(found.values())
        shown = (
            f"**{found[rate]:.3f}**" if found[rate] == best else f"{found[rate]:.3f}"
            for rate in tried
        )
        lines.append((f"`{cell}`", *shown))
    return table(("cell", *(f"{rate:g}" for rate in tried)), lines)


def val(run: RunFacts) -> float:
    found = run.score("val/bpc")
    assert found is not None, run.path
    return found


TASKS: Mapping[str, tuple[str, str]] = {
    "tuned_names": ("bundled names", "char"),
    "tuned_kantrowitz": ("Kantrowitz's names", "char"),
    "tuned_enwik8_head": ("4 MB of Wikipedia", "byte"),
    "tuned_stdlib": ("Python's library", "byte"),
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
    "streams-tuning": lambda: learning_rates("tuning_enwik8_head"),
    "enwik8-head": lambda: cells_on_a_stream("tuned_enwik8_head"),
    "enwik8-head-differences": lambda: differences("tuned_enwik8_head"),
    "stdlib": lambda: cells_on_a_stream("tuned_stdlib"),
    "stdlib-differences": lambda: differences("tuned_stdlib"),
}
