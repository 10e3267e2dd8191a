"""Keeps of run directories what the results are made from: small, and the same on every machine.

    python docs/scripts/collect.py tuned_names tuned_stdlib ...   groups of runs/, or runs

Into docs/results/GROUP/RUN/ go config.yaml, overrides.txt, run.json, of metrics.jsonl the rows of
validation and test and about twenty of training, of samples.jsonl the last draw. No checkpoints;
and where the data and caches lay on this machine is left out. A folder of such directories is as
good as one of runs for `charlab compare`, `charlab runs` and `charlab plot`.
"""

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from charlab import rows
from charlab.errors import UsageError
from charlab.reading.find import read_runs

DOCS = Path(__file__).parents[1]
RESULTS = DOCS / "results"
MOST_TRAIN_ROWS = 20
CACHE = "~/.cache/charlab"


def collect(run: Path, group: str) -> Path:
    """The record of a run, written anew."""
    kept = RESULTS / group / run.name
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    shutil.copy(run / "overrides.txt", kept)
    config = yaml.safe_load((run / "config.yaml").read_text("utf-8"))
    config["paths"]["cache"] = CACHE
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (kept / "config.yaml").write_text(text, "utf-8")
    record = json.loads((run / "run.json").read_text("utf-8"))
    record["data"]["path"] = config["data"].get("path")
    (kept / "run.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    _write_rows(kept / "metrics.jsonl", thinned(_rows(run / "metrics.jsonl")))
    drawn = _rows(run / "samples.jsonl")
    last = max((row["step"] for row in drawn), default=0)
    _write_rows(kept / "samples.jsonl", [row for row in drawn if row["step"] == last])
    return kept


def thinned(metrics: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All rows but those of training, and about MOST_TRAIN_ROWS of these."""
    num_train = sum("train/loss" in row for row in metrics)
    every = max(1, -(-num_train // MOST_TRAIN_ROWS))
    number = 0
    for row in metrics:
        if "train/loss" in row:
            number += 1
            if number % every != 0:
                continue
        yield row


def _rows(file: Path) -> list[dict[str, Any]]:
    return list(rows.parsed(file.read_bytes().splitlines())) if file.exists() else []


def _write_rows(file: Path, found: Iterable[dict[str, Any]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in found]
    file.write_text("".join(lines), "utf-8")


def main(words: list[str]) -> int:
    try:
        if not words:
            raise UsageError("nothing to collect", expected="groups of runs/, or run directories")
        read = read_runs(words)
        unfinished = [run.path for run in read.runs if run.state != "finished"]
        if read.unreadable or unfinished:
            raise UsageError(
                "not all of these runs have finished",
                expected="run directories that are whole",
                got=", ".join(
                    str(path) for path in [*unfinished, *(u.path for u in read.unreadable)]
                ),
                hint="the command that made them goes on with them",
            )
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    for run in read.runs:
        collect(run.path, run.group)
    print(f"{len(read.runs)} runs kept in {RESULTS}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
