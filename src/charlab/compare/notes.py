"""What one has to know to read a table of scores."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from charlab.compare.comparison import Split
from charlab.compare.groups import FINGERPRINT, OF_DATA, STEPS, Group, differing, option_words
from charlab.reading.facts import RunFacts

# numbers of parameters that differ by less are alike
ALIKE = 1.05
MOST_LABELS = 4
BATCHES = ("data.batch_size", "data.seq_len")
TOLD_ELSEWHERE = ("model.cell", "trainer.precision", STEPS, *OF_DATA)
Labelled = Mapping[str, Group]


def notes_of(groups: Labelled, ranked_by: Split) -> list[str]:
    """A line each, of groups by label."""
    return [
        *_unlike_settings(groups),
        *_unlike_sizes(groups),
        *_unlike_seeds(groups),
        *_missing_scores(groups, ranked_by),
        *_stopped_early(groups),
        *_extended(groups),
        *_repeated(groups),
        *_unlike_origins(groups),
        *_own_split(groups),
    ]


def _unlike_settings(groups: Labelled) -> list[str]:
    """Options of all cells that differ, where the labels do not say so already."""
    differ = differing(list(groups.values()))
    told = []
    for name in differ:
        everywhere = all(name in group.settings for group in groups.values())
        # of other data all that makes them is another
        is_implied = name.startswith("data.") and FINGERPRINT in differ and name not in BATCHES
        if name in TOLD_ELSEWHERE or is_implied or not everywhere:
            continue
        words = {label: option_words(name, group) for label, group in groups.items()}
        if not all(word in label.split() for label, word in words.items()):
            told.append(
                f"{name} {_by_value({label: _last(word) for label, word in words.items()})}"
            )
    return [f"they differ in more than the cell: {'; '.join(told)}"] if told else []


def _unlike_sizes(groups: Labelled) -> list[str]:
    sizes = {label: int(group.runs[0].model["num_params"]) for label, group in groups.items()}
    small, large = min(sizes, key=lambda label: sizes[label]), max(sizes, key=lambda s: sizes[s])
    ratio = sizes[large] / max(1, sizes[small])
    if ratio <= ALIKE:
        return []
    wanted = float(f"{sizes[small]:.2g}")
    return [
        f"{large} has {ratio:.3g} times the parameters of {small}; "
        f"model.match_params={wanted:.0f} gives cells as many"
    ]


def _unlike_seeds(groups: Labelled) -> list[str]:
    seeds = {label: [run.seed for run in group.runs] for label, group in groups.items()}
    notes = []
    alone = [label for label, own in seeds.items() if len(own) == 1]
    if len(alone) == len(seeds):
        notes.append("one seed: no interval" if len(seeds) == 1 else "one seed each: no intervals")
    elif alone:
        notes.append(f"{_listed(alone)}: one seed, no interval")
    if len({tuple(own) for own in seeds.values()}) > 1:
        shown = _by_value({label: _ranges(own) for label, own in seeds.items()})
        notes.append(f"seeds are not the same: {shown}; pairs are over those that both have")
    return notes


def _missing_scores(groups: Labelled, ranked_by: Split) -> list[str]:
    notes = []
    if ranked_by == "val":
        without = [
            label
            for label, group in groups.items()
            if all(run.score("test/bpc") is None for run in group.runs)
        ]
        notes.append(f"ranked by validation: no test score of {_listed(without)}")
    for label, group in groups.items():
        num_without = sum(run.score(f"{ranked_by}/bpc") is None for run in group.runs)
        if num_without:
            of = _part(num_without, group)
            notes.append(f"{label}: no finite {ranked_by} score of {of}")
    return notes


def _stopped_early(groups: Labelled) -> list[str]:
    notes = []
    for label, group in groups.items():
        done = [run.record.get("num_steps") or run.record["total_steps"] for run in group.runs]
        total = group.runs[0].record["total_steps"]
        if min(done) < total:
            span = f"{min(done):,}" if min(done) == max(done) else f"{min(done):,} to {max(done):,}"
            notes.append(f"{label} stopped early, after {span} of {total:,} steps")
    return notes


def _extended(groups: Labelled) -> list[str]:
    notes = []
    for label, group in groups.items():
        longer = [run for run in group.runs if run.record.get("extended")]
        if longer:
            notes.append(
                f"{label}: {_part(len(longer), group)} began with another budget, and had the "
                "learning rate of that one until the larger one was asked for"
            )
    return notes


def _repeated(groups: Labelled) -> list[str]:
    return [
        f"seed {run.seed} of {label} has been run again; the newest counts, and not {run.path}"
        for label, group in groups.items()
        for run in group.repeated
    ]


def _unlike_origins(groups: Labelled) -> list[str]:
    """Where runs ran, and what ran; one line more says what that does to times."""
    notes = []
    for what, values_of in ORIGINS.items():
        values = {label: _joined(group, values_of) for label, group in groups.items()}
        if len({value for found in values.values() for value in found}) > 1:
            shown = _by_value({label: " and ".join(found) for label, found in values.items()})
            notes.append(f"not the same {what}: {shown}")
    if notes:
        notes.append("so characters/s, time and memory are not comparable")
    changed = [label for label, group in groups.items() if any(map(_is_dirty, group.runs))]
    if changed:
        notes.append(f"made from a checkout with uncommitted changes: {_listed(changed)}")
    return notes


def _joined(group: Group, values_of: Callable[[RunFacts], list[str]]) -> list[str]:
    return list(dict.fromkeys(value for run in group.runs for value in values_of(run)))


def _told(run: RunFacts, name: str) -> list[Any]:
    """An entry of run.json as it was at first, and as it was each time the run went on."""
    later = run.record.get("resumed") or []
    return [
        entry[name]
        for entry in (run.record, *later)
        if isinstance(entry, Mapping) and entry.get(name) is not None
    ]


def _machines(run: RunFacts) -> list[str]:
    found = []
    for hardware in _told(run, "hardware"):
        if isinstance(hardware, Mapping):
            cpu, cores = hardware.get("cpu", "?"), hardware.get("cpu_cores", "?")
            device = str(run.record.get("device", "cpu"))
            found.append(device if device != "cpu" else f"{cpu} ({cores} cores)")
    return found


def _torch(run: RunFacts) -> list[str]:
    found = _told(run, "versions")
    return [str(one["torch"]) for one in found if isinstance(one, Mapping) and one.get("torch")]


def _option(name: str) -> Callable[[RunFacts], list[str]]:
    return lambda run: [str(run.config["trainer"].get(name))]


def _is_dirty(run: RunFacts) -> bool:
    return any(isinstance(git, Mapping) and git.get("dirty") is True for git in _told(run, "git"))


ORIGINS: dict[str, Callable[[RunFacts], list[str]]] = {
    "machine": _machines,
    "number of threads (trainer.num_threads)": _option("num_threads"),
    "precision": _option("precision"),
    "version of torch": _torch,
    "code of charlab": lambda run: [str(code) for code in _told(run, "code")],
}


def _own_split(groups: Labelled) -> list[str]:
    runs = [run for group in groups.values() for run in group.runs]
    own = any(run.data.get("standard_split") is False for run in runs)
    return ["not on the published split: no result of that corpus"] if own else []


def _part(number: int, group: Group) -> str:
    if len(group.runs) == 1:
        return "its run"
    return f"{number} of {len(group.runs)} runs"


def _by_value(values: Mapping[str, str]) -> str:
    """ "0.003 (rnn), 0.005 (the others)": the value of most is the last."""
    labels = {
        value: [label for label, own in values.items() if own == value]
        for value in dict.fromkeys(values.values())
    }
    *few, most = sorted(labels, key=lambda value: len(labels[value]))
    rest = _listed(labels[most]) if len(labels[most]) <= 2 else "the others"
    return ", ".join(
        [*(f"{value} ({_listed(labels[value])})" for value in few), f"{most} ({rest})"]
    )


def _listed(labels: Sequence[str]) -> str:
    more = len(labels) - MOST_LABELS
    return ", ".join(labels[:MOST_LABELS]) + (f" and {more} more" if more > 0 else "")


def _last(word: str) -> str:
    return word.partition("=")[2]


def _ranges(seeds: Sequence[int]) -> str:
    """ "0-4", "0, 2, 5-7"."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(f"{one[0]}-{one[-1]}" if len(one) > 1 else f"{one[0]}" for one in runs)
