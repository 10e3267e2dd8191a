"""Made-up run directories, in the shape that train.py leaves them: for what reads runs.

make_run(runs, "gru", seed=1, test=3.28, config={"model.hidden_size": 300})
make_runs(runs, {"gru": [3.28, 3.27], "lstm": [3.29, 3.30]})        # a run a score
add_curves(path); add_samples(path); add_diagnostics(path)
"""

import json
import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml  # type: ignore[import-untyped]
from omegaconf import OmegaConf

from charlab.claims import this_process
from charlab.config.options import schema_name
from charlab.config.schema import SCHEMAS, Config
from charlab.run_names import config_hash, run_name

Data = Literal["names", "python_stdlib"]
STEPS = 3488
NUM_PARAMS = {"gru": 74621, "lstm": 75048, "rnn": 74894, "custom_gru": 74803}
CHARS_PER_S = {"gru": 35_672.0, "lstm": 20_100.0, "rnn": 52_000.0, "custom_gru": 51_500.0}
# as train.py has left them for the bundled names
NAMES_FLOORS = {
    "1-gram": {"val_bpc": 4.767140348204571, "test_bpc": 4.791095899213153},
    "2-gram": {"val_bpc": 3.7210507901228893, "test_bpc": 3.744297653330727},
    "3-gram": {"val_bpc": 3.4719606905253513, "test_bpc": 3.5053967750072226},
    "4-gram": {"val_bpc": 3.353876245748785, "test_bpc": 3.403526044576008},
    "5-gram": {"val_bpc": 3.3872525090036447, "test_bpc": 3.455275369856674},
}
STREAM_FLOORS = {
    **{
        f"{order}-gram": {"val_bpc": val, "test_bpc": val + 0.02}
        for order, val in enumerate((4.93, 3.62, 2.72, 2.16, 1.89, 1.82), 1)
    },
    "gzip": {"val_bpc": 1.93, "test_bpc": 1.95},
    "bz2": {"val_bpc": 1.62, "test_bpc": 1.64},
    "xz": {"val_bpc": 1.55, "test_bpc": 1.57},
}
NAMES_LENGTHS = [0, 0, 18, 321, 1479, 3353, 3733, 2612, 1497, 600, 202, 50, 21, 7]
SAMPLES_LENGTHS = [0, 1, 18, 92, 498, 1253, 1482, 937, 447, 187, 62, 16, 7]


def make_run(
    runs: Path,
    cell: str = "gru",
    *,
    seed: int = 0,
    val: float | None = None,
    test: float | None = 3.28,
    group: str = "cells",
    data: Data = "names",
    status: str = "finished",
    is_held: bool = False,
    started: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC),
    config: Mapping[str, Any] | None = None,
    record: Mapping[str, Any] | None = None,
) -> Path:
    """A run directory <runs>/<group>/<slug>-<hash>, or -2, -3, ... beside it; its path.

    val        0.045 below test where it is not given
    is_held    whether a live process, this one, has the run: "running" is "interrupted" without
    config, record   changes of config.yaml and run.json, by dotted names
    """
    plain = plain_config(cell, data)
    plain |= {"seed": seed, "group": group}
    _change(plain, config or {})
    written = deepcopy(
        _record(plain, started, val if val is not None or test is None else test - 0.045, test)
    )
    written["status"] = status
    if status != "finished":
        for name in ("ended", "scores", "train_s", "chars_seen", "num_steps", "samples", "seconds"):
            del written[name]
        written["ended"] = None
        if status == "failed":
            written["error"] = "TrainingDiverged: the loss is NaN at step 400"
    _change(written, record or {})
    name, number = run_name(plain), 1
    folder = runs / group
    while (path := folder / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    path.mkdir(parents=True)
    written["name"] = written["name"] or path.name
    text = yaml.dump(plain, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    (path / "config.yaml").write_text(text, encoding="utf-8")
    (path / "overrides.txt").write_text(f"model={cell}\nseed={seed}\n", encoding="utf-8")
    (path / "run.json").write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n")
    if is_held:
        (path / "claim.json").write_text(json.dumps(this_process()._asdict()) + "\n")
    return path


def make_runs(
    runs: Path, scores: Mapping[str, Sequence[float]], **options: Any
) -> dict[str, list[Path]]:
    """Runs of cells, their test scores by seed from 0; options as make_run has them."""
    return {
        cell: [
            make_run(runs, cell, seed=seed, test=test, **options) for seed, test in enumerate(row)
        ]
        for cell, row in scores.items()
    }


def add_curves(path: Path, num_rows: int = 100) -> None:
    """metrics.jsonl: rows of training, a validation after every tenth of them, the test."""
    record = json.loads((path / "run.json").read_text())
    total = record.get("total_steps", STEPS)
    last = record.get("num_steps", total // 2)
    floors = {
        f"baseline/ngram{label[0]}_bpc": floor["test_bpc"]
        for label, floor in record["data"]["floors"].items()
        if label.endswith("gram")
    }
    scores = record.get("scores", {"val/bpc": 3.4})
    lines = [_row(0, record, floors | {"data/standard_split": 1.0})]
    for index in range(1, num_rows + 1):
        step = max(1, round(last * index / num_rows))
        bpc = scores["val/bpc"] + 3 * math.exp(-6 * step / total) - 0.1
        trained = {
            "train/loss": bpc * math.log(2),
            "train/bpc": bpc,
            "train/grad_norm": 0.4 + 0.1 * math.sin(index),
            "optim/lr": 0.005 * (1 - step / total),
            "perf/chars_per_s": CHARS_PER_S.get("gru", 3e4),
            "perf/step_ms": 13.4,
        }
        lines.append(_row(step, record, trained))
        if index % max(1, num_rows // 10) == 0:
            val = scores["val/bpc"] + 2 * math.exp(-6 * step / total) * (1 - step / total)
            lines.append(_row(step, record, {"val/loss": val * math.log(2), "val/bpc": val}))
    if "test/bpc" in scores:
        lines.append(_row(last, record, {"test/bpc": scores["test/bpc"]}))
    (path / "metrics.jsonl").write_text("".join(lines), encoding="utf-8")


def add_samples(path: Path, texts: Sequence[str] = ("Özçary", "Fale", "Melati", "Dobah")) -> None:
    """samples.jsonl: the texts, at four steps and two temperatures, with and without a prompt."""
    lines = [
        {"step": step, "prompt": prompt, "temperature": t, "text": prompt + text, "ended": True}
        for step in (500, 1000, 2000, 3000)
        for prompt in ("", "Trump")
        for t in (0.5, 1.0)
        for text in texts
    ]
    written = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (path / "samples.jsonl").write_text(written, encoding="utf-8")


def add_diagnostics(path: Path, steps: Sequence[int] = (0, 1000, 3488)) -> None:
    """diagnostics.jsonl: how far gradients reach, bits by position, gates."""
    lags, positions = list(range(12)), list(range(1, 14))
    lines = [
        {
            "step": step,
            "lag": lags,
            "grad_norm": [math.exp(-lag / (2 + step / 1000)) for lag in lags],
            "position": positions,
            "bits": [4.5 - 0.1 * position - step / 5000 for position in positions],
            "gates": {
                "1 reset": {"low": 0.1, "high": 0.3, "mean": 0.5},
                "1 update": {"low": 0.05, "high": 0.6, "mean": 0.7},
            },
            "memory_steps": 2.0 + step / 1000,
        }
        for step in steps
    ]
    (path / "diagnostics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def plain_config(cell: str, data: Data = "names") -> dict[str, Any]:
    """What config.yaml holds: every option of the schema, with the values of its class."""
    return deepcopy(_plain_config(cell, data))


@cache
def _plain_config(cell: str, data: Data) -> dict[str, Any]:
    config = OmegaConf.structured(Config)
    kinds = {"model": cell, "data": data, "optimizer": "adamw", "scheduler": "one_cycle"}
    for group, kind in kinds.items():
        name = schema_name(group, kind)
        assert name is not None, f"{group} has no {kind}"
        config[group] = OmegaConf.structured(SCHEMAS[name])
        config[group]["cell" if group == "model" else "name"] = kind
    config.model.match_params = 75000.0
    config.trainer.max_epochs = 16 if data == "names" else 1
    config.paths.cache = "/home/ada/.cache/charlab"
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _record(
    config: Mapping[str, Any], started: datetime, val: float | None, test: float | None
) -> dict[str, Any]:
    cell, is_names = config["model"]["cell"], config["data"]["name"] == "names"
    chars = 1_576_704 if is_names else STEPS * 64 * 100
    train_s = round(chars / CHARS_PER_S.get(cell, 30_000.0), 3)
    bits = {"val": val, "test": test}
    scores: dict[str, float] = {"best_step": STEPS, "data/standard_split": 1.0}
    for split, bpc in bits.items():
        if bpc is not None:
            scores |= {f"{split}/bpc": bpc, f"{split}/loss": bpc * math.log(2)}
            if is_names:
                scores[f"{split}/nats_per_name"] = bpc * math.log(2) * 7.08
    return {
        "name": "",
        "group": config["group"],
        "status": "finished",
        "started": started.isoformat(timespec="seconds"),
        "ended": (started + timedelta(seconds=train_s + 4)).isoformat(timespec="seconds"),
        "config_hash": config_hash(config),
        "command": ["train.py", f"model={cell}", f"seed={config['seed']}"],
        "code": "f6f137c67d67",
        "git": {"commit": "2d8f3ed425ed81a6f0aa795938b0b16e439bb544", "dirty": False},
        "versions": {"python": "3.11.7", "charlab": "0.1.0", "torch": "2.13.0+cpu"},
        "hardware": {
            "machine": "x86_64",
            "system": "Linux-6.18.44-x86_64-with-glibc2.36",
            "cpu": "AMD EPYC",
            "cpu_cores": 2,
        },
        "wandb": {"id": "bb603332", "project": "charlab", "mode": "offline"},
        "data": _names_record() if is_names else _stream_record(),
        "model": {
            "num_params": NUM_PARAMS.get(cell, 75_000),
            "state_size": 180 if cell == "lstm" else 127,
            "hidden_size": 127,
            "num_layers": config["model"]["num_layers"],
            "engine": "compiled" if cell.startswith("custom") else "torch",
        },
        "total_steps": STEPS,
        "num_processes": config["trainer"]["devices"],
        "device": "cpu",
        "scores": scores,
        "train_s": train_s,
        "chars_seen": chars,
        "num_steps": STEPS,
        "peak_memory_bytes": 508_747_776,
        "peak_device_memory_bytes": None,
        "samples": _samples_record() if is_names else None,
        "seconds": round(train_s + 4, 3),
    }


def _names_record() -> dict[str, Any]:
    return {
        "name": "names",
        "source": "bundled",
        "path": None,
        "fingerprint": "6ca6d4bb717586b2",
        "vocabulary_fingerprint": "e428b9f014e661f5",
        "standard_split": True,
        "unit": "char",
        "document": "name",
        "num_symbols": 83,
        "num_train": 13893,
        "num_val": 1737,
        "num_test": 1737,
        "num_unknown_targets": 0,
        "lengths": NAMES_LENGTHS,
        "floors": NAMES_FLOORS,
    }


def _stream_record() -> dict[str, Any]:
    return {
        "name": "python_stdlib",
        "source": "standard library of Python 3.11.7",
        "path": None,
        "fingerprint": "1f0e4d9c7ab25a36",
        "content_sha256": "5b1c" * 16,
        "vocabulary_fingerprint": "90aa4e1f2c5d7b83",
        "standard_split": True,
        "split": "90 / 5 / 5 % by position",
        "byte_cuts": [26_400_000, 27_900_000, 29_300_000],
        "unit": "byte",
        "document": None,
        "num_symbols": 256,
        "num_train": 26_400_000,
        "num_val": 1_500_000,
        "num_test": 1_400_000,
        "num_unknown_targets": 0,
        "num_unknown_test_targets": 0,
        "left_out_of_an_epoch": 64,
        "val_lanes": 64,
        "test_lanes": 64,
        "floors": STREAM_FLOORS,
    }


def _samples_record() -> dict[str, Any]:
    return {
        "num_samples": 5000,
        "ended": 1.0,
        "legal": 1.0,
        "unique": 0.984,
        "novel": 0.9122,
        "held_out": 0.0187,
        "lengths": SAMPLES_LENGTHS,
    }


def _row(step: int, record: Mapping[str, Any], metrics: Mapping[str, float]) -> str:
    chars = record.get("chars_seen", 1_576_704) * step // record.get("total_steps", STEPS)
    seconds = round(1.5 + record.get("seconds", 48.0) * step / record.get("total_steps", STEPS), 3)
    return json.dumps({"step": step, "chars_seen": chars, "seconds": seconds, **metrics}) + "\n"


def _change(tree: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        *parts, last = name.split(".")
        node = tree
        for part in parts:
            node = node.setdefault(part, {})
        node[last] = value
