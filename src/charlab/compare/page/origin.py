"""Where the runs come from: what is the same in all of them, and what is not."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

from charlab.compare.comparison import Comparison
from charlab.compare.page.look import Look
from charlab.compare.page.words import harmless, plain
from charlab.reading.facts import RunFacts


@final
class RunRow(NamedTuple):
    """A run: its facts that differ from those of others."""

    look: Look
    values: Sequence[str]


@final
class Origin(NamedTuple):
    """same: facts of all runs; columns, rows: the facts that differ, a row a run."""

    same: Sequence[tuple[str, str]]
    columns: Sequence[str]
    rows: Sequence[RunRow]


@final
class Settings(NamedTuple):
    """Options in which the variants differ, a row a variant."""

    options: Sequence[str]
    rows: Sequence[tuple[Look, Sequence[str]]]


def settings(comparison: Comparison, looks: dict[str, Look]) -> Settings:
    """What differs between the configurations, seed apart."""
    variants = [variant for one in comparison.sets for variant in one.variants]
    rows = [
        (
            looks[variant.label],
            [
                plain(variant.settings[option]) if option in variant.settings else ""
                for option in comparison.differing
            ],
        )
        for variant in variants
    ]
    return Settings(comparison.differing, rows)


def origin(comparison: Comparison, looks: dict[str, Look]) -> Origin:
    """Of the runs that are compared."""
    runs = [
        (looks[variant.label], run)
        for one in comparison.sets
        for variant in one.variants
        for run in variant.runs
    ]
    facts = [_facts(run) for _, run in runs]
    names = list(dict.fromkeys(name for one in facts for name in one))
    values = {name: [one.get(name, "") for one in facts] for name in names}
    same = [name for name in names if len(set(values[name])) == 1]
    differ = [name for name in names if name not in same]
    return Origin(
        [(name, values[name][0]) for name in same],
        ["run directory", "seed", *differ],
        [
            RunRow(
                look, [harmless(run.path), str(run.seed), *(one.get(name, "") for name in differ)]
            )
            for (look, run), one in zip(runs, facts, strict=True)
        ],
    )


def _facts(run: RunFacts) -> dict[str, str]:
    """Of one run: what it was made of and on, by a name for the page."""
    record = run.record
    git, hardware = _part(record, "git"), _part(record, "hardware")
    wandb, data = _part(record, "wandb"), run.data
    facts = {
        "data": data.get("name"),
        "data from": data.get("path") or data.get("source"),
        "data fingerprint": data.get("fingerprint"),
        "vocabulary fingerprint": data.get("vocabulary_fingerprint"),
        "code": record.get("code"),
        "commit": git.get("commit"),
        "changed since the commit": git.get("dirty"),
        **_part(record, "versions"),
        **{name.replace("_", " "): value for name, value in hardware.items()},
        "device": record.get("device"),
        "processes": record.get("num_processes"),
        "engine": run.model.get("engine"),
        "started": record.get("started"),
        "times it went on": len(record.get("resumed") or []),
        "W&B project": wandb.get("project"),
        "W&B id": wandb.get("id"),
    }
    return {name: plain(value) for name, value in facts.items()}


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = record.get(name)
    return part if isinstance(part, Mapping) else {}
