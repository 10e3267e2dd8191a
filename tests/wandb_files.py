"""Reads what W&B's client wrote into a run directory: the .wandb files of its runs.

Each is a log in LevelDB's format: a header of 7 bytes, then blocks of 32 KiB with records that may
be cut into fragments, each a message of W&B's protocol.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK_BYTES = 32 * 1024
# kinds of fragments
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class WandbFile:
    """What one process has written.

    run      its record of the run: run_id, display_name, run_group, ...
    config   by the keys of the first level; summary: by full names
    history  the rows of wandb.log; metrics: what was given to define_metric, by name
    artifacts  their records; files: names of files that belong to the run
    exit_code  None where there is no record of an end: the process was killed
    """

    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Any] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    exit_code: int | None = None
    preempting: bool = False


def wandb_files(run: Path) -> list[WandbFile]:
    """Those of a run directory, the oldest first."""
    return [read(path) for path in sorted(run.glob("wandb/*run-*/*.wandb"))]


def read(path: Path) -> WandbFile:
    found = WandbFile()
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            _update(found.config, record.run.config.update)
        elif kind == "config":
            _update(found.config, record.config.update)
        elif kind == "summary":
            _update(found.summary, record.summary.update)
        elif kind == "history":
            row: dict[str, Any] = {}
            _update(row, record.history.item)
            found.history.append(row)
        elif kind == "metric":
            found.metrics[record.metric.name or record.metric.glob_name] = record.metric
        elif kind == "artifact":
            found.artifacts.append(record.artifact)
        elif kind == "files":
            found.files += [file.path for file in record.files.files]
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
        elif kind == "preempting":
            found.preempting = True
    return found


def _update(into: dict[str, Any], items: Any) -> None:
    for item in items:
        name = item.key or ".".join(item.nested_key)
        into[name] = json.loads(item.value_json)


def records(path: Path) -> Iterator[Record]:
    content = path.read_bytes()
    assert struct.unpack("<4sHB", content[:7])[:2] == (b":W&B", 0xBEE1)
    parts = b""
    for kind, data in _fragments(content):
        parts = data if kind in (FULL, FIRST) else parts + data
        if kind in (FULL, LAST):
            yield Record.FromString(parts)


def _fragments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(kind, bytes) of each, up to the first that a kill has cut off."""
    at = 7
    while at + 7 <= len(content):
        left = BLOCK_BYTES - at % BLOCK_BYTES
        if left < 7:
            at += left
            continue
        check, length, kind = struct.unpack("<IHB", content[at : at + 7])
        data = content[at + 7 : at + 7 + length]
        if kind == 0 or len(data) < length:
            return
        assert zlib.crc32(bytes([kind]) + data) == check
        yield kind, data
        at += 7 + length
