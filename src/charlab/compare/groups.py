"""Runs grouped by what their results depend on, and what the groups are called."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, final

from charlab.reading.facts import RunFacts
from charlab.run_names import NOT_HASHED, is_among
from charlab.terminal import harmless

# What results do not depend on. All other options of config.yaml count, each cell's own too.
NO_SETTINGS = (
    *NOT_HASHED,
    "seed",  # what the mean is over
    "group",
    "data.show",  # of older runs
    "data.path",  # what is in the files: data.fingerprint
    "data.sha256",
    "data.bundled_sha256",
    "data.content_sha256",
    "data.url",
    "data.archive_bytes",
    "data.num_bytes",
    "data.verify",
    "trainer.max_epochs",  # two ways to say total_steps
    "trainer.max_steps",
    "trainer.accelerator",  # where it runs changes rounding and speed: notes tell of it
    "trainer.num_threads",
    "trainer.deterministic",
    "trainer.detect_anomaly",
    "trainer.log_every_n_steps",
    "trainer.test",
    "callbacks",  # samples have a generator of their own; the rest watches
)
# ... and of these what does count: which weights are scored, and how long they were trained
BUT = ("callbacks.checkpoint.enabled", "callbacks.early_stopping")
# of run.json: what the budget and the data really were
STEPS = "total_steps"
SOURCE = "data.source"
FINGERPRINT = "data.fingerprint"
OF_DATA = (
    SOURCE,
    FINGERPRINT,
    "data.vocabulary_fingerprint",
    "data.unit",
    "data.standard_split",
    "data.num_val",
    "data.num_test",
)
# in this order labels say what differs
ORDER = ("model", "data.name", SOURCE, "data.batch_size", "data.seq_len", "optimizer", "scheduler")

# options whose last part says too little
SHORT = {
    "data.name": "data",
    "optimizer.name": "optimizer",
    "scheduler.name": "scheduler",
    "callbacks.checkpoint.enabled": "checkpoint",
    "callbacks.early_stopping.enabled": "early_stopping",
    STEPS: "steps",
}

Settings = dict[str, Any]


@final
class Group(NamedTuple):
    """Finished runs that differ in the seed alone, one a seed, in the order of seeds.

    repeated  runs of a seed that has a newer one
    """

    settings: Settings
    runs: list[RunFacts]
    repeated: list[RunFacts]

    @property
    def cell(self) -> str:
        return self.runs[0].cell


def group_runs(runs: Sequence[RunFacts]) -> list[Group]:
    """In the order of the runs."""
    found: dict[str, tuple[Settings, list[RunFacts]]] = {}
    for run in runs:
        settings = settings_of(run)
        found.setdefault(repr(sorted(settings.items())), (settings, []))[1].append(run)
    return [_group(settings, alike) for settings, alike in found.values()]


def _group(settings: Settings, runs: Sequence[RunFacts]) -> Group:
    newest: dict[int, RunFacts] = {}
    for run in sorted(runs, key=_ended):
        newest[run.seed] = run
    kept = [newest[seed] for seed in sorted(newest)]
    return Group(settings, kept, [run for run in runs if run not in kept])


def _ended(run: RunFacts) -> tuple[str, str]:
    """Times are texts in UTC."""
    return run.record.get("ended") or run.record["started"], run.name


def settings_of(run: RunFacts) -> Settings:
    """The options that its result depends on, by dotted names; data and steps as they really were.

    An option that another one makes meaningless is left out.
    """
    settings = {name: value for name, value in _flat(run.config) if _is_setting(name)}
    if settings.get("model.match_params") is not None:
        settings.pop("model.hidden_size", None)
    if settings.get("callbacks.early_stopping.enabled") is not True:
        settings = {
            name: value
            for name, value in settings.items()
            if not name.startswith("callbacks.early_stopping.")
        }
    settings[STEPS] = run.record.get("total_steps")
    return settings | {name: run.data.get(name.removeprefix("data.")) for name in OF_DATA}


@cache
def _is_setting(name: str) -> bool:
    return is_among(name, BUT) or not is_among(name, NO_SETTINGS)


def _flat(tree: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{start}{name}.")
        else:
            yield f"{start}{name}", value


def differing(groups: Sequence[Group]) -> list[str]:
    """The options that not all groups have with the same value."""
    names = {name: None for group in groups for name in group.settings}
    return [name for name in names if len({_value(group, name) for group in groups}) > 1]


def labels(groups: Sequence[Group]) -> list[str]:
    """Unique ones: the cell, and as many of the options in which its groups differ as it takes."""
    found = [group.cell for group in groups]
    for cell in dict.fromkeys(found):
        places = [place for place, group in enumerate(groups) if group.cell == cell]
        own = [groups[place] for place in places]
        for place, words in zip(places, _words(own)):
            found[place] = harmless(" ".join([cell, *words])).replace("\n", " ")
    return _numbered(found)


def _numbered(found: Sequence[str]) -> list[str]:
    """Values may differ and yet look alike: 1 and 1.0, files of one name."""
    numbered: list[str] = []
    for label in found:
        number, unique = 1, label
        while unique in numbered:
            number += 1
            unique = f"{label} #{number}"
        numbered.append(unique)
    return numbered


def _words(groups: Sequence[Group]) -> list[list[str]]:
    """What tells groups of one cell apart: an option is named if it splits what is still alike."""
    chosen: list[str] = []
    alike = 1
    for name in sorted(differing(groups), key=_rank):
        now = len({tuple(_value(group, one) for one in (*chosen, name)) for group in groups})
        if now > alike:
            chosen.append(name)
            alike = now
    short = _short_names(chosen)
    return [
        [
            f"{short[name]}={_shown(group.settings[name])}"
            for name in chosen
            if name in group.settings
        ]
        for group in groups
    ]


def option_words(name: str, group: Group) -> str:
    """As in labels: "hidden_size=300"."""
    return f"{_short_names([name])[name]}={_shown(group.settings[name])}"


def _value(group: Group, name: str) -> str:
    """To compare by; an option that is not there is unlike any value."""
    return repr(group.settings[name]) if name in group.settings else ""


def _rank(name: str) -> int:
    places = [place for place, part in enumerate(ORDER) if is_among(name, [part])]
    return places[0] if places else len(ORDER)


def _short_names(names: Sequence[str]) -> dict[str, str]:
    lasts = [name.rpartition(".")[2] for name in names]
    return {
        name: SHORT.get(name, last if lasts.count(last) == 1 else name)
        for name, last in zip(names, lasts)
    }


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return value.rpartition("/")[2] or value
    return "null" if value is None else str(value)
