"""Where the records come from: commits, dates, versions."""

from collections.abc import Callable, Sequence

from records import runs
from tabular import table

GROUPS = (
    *("tuning_names", "tuned_names", "tuning_kantrowitz", "tuned_kantrowitz"),
    *("tuning_enwik8_head", "tuned_enwik8_head", "tuned_stdlib"),
    *("notebook_padding", "notebook_enwik8_head"),
)


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


BLOCKS: dict[str, Callable[[], str]] = {
    "origin": lambda: origin(GROUPS),
    "versions": lambda: versions(GROUPS),
}
