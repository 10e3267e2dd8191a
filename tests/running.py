"""Runs of the real train.py in this process, small enough for a test."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charlab.config.entry import main
from charlab.files import default_cache

ROOT = Path(__file__).parents[1]
# where tests of the engine have theirs too
KERNELS = default_cache() / "kernels"
# Python's own words as "names": a corpus that every machine has
TINY = (
    "model.hidden_size=16",
    "model.embedding_size=8",
    "data.batch_size=16",
    "trainer.max_steps=30",
    "trainer.val_every_n_steps=10",
    "trainer.log_every_n_steps=5",
    "callbacks.samples.every_n_steps=15",
    "callbacks.samples.num_samples=2",
    "logger.wandb.mode=disabled",
)
# a stream whose windows carry their state
STREAM = (
    "data=text",
    "data.seq_len=20",
    "data.eval_lanes=4",
    "data.eval_warmup=40",
    "data.reset_prob=0.1",
    "callbacks.samples.max_length=30",
)


def write_names(folder: Path) -> Path:
    """300 made-up names of a few syllables, and a character that only one of them has."""
    syllables = ["ka", "lo", "mi", "ra", "ten", "Bo", "Ae", "su", "nor", "vi"]
    names = [a + b + c for a in syllables for b in syllables for c in syllables[:3]]
    path = folder / "names.txt"
    path.write_text("\n".join([*names, "Zoë"]) + "\n", encoding="utf-8")
    return path


def cache_in(folder: Path) -> Path:
    """A cache of its own, but for the compiled kernels, which those of all tests have in common."""
    cache = folder / "cache"
    if not cache.exists():
        KERNELS.mkdir(parents=True, exist_ok=True)
        cache.mkdir()
        (cache / "kernels").symlink_to(KERNELS)
    return cache


def train(folder: Path, *overrides: str, tiny: Sequence[str] = TINY) -> tuple[int, Path | None]:
    """(exit code, the newest run directory) of `python train.py` with tiny settings."""
    spec = importlib.util.spec_from_file_location("train", ROOT / "train.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    runs = folder / "runs"
    if not (folder / "names.txt").exists():
        write_names(folder)
    common = [
        f"paths.runs={runs}",
        f"paths.cache={cache_in(folder)}",
    ]
    if not any(override.startswith("data=") for override in overrides):
        common.append(f"data.path={folder / 'names.txt'}")
    exit_code = main([*tiny, *common, *overrides], script.train, ROOT / "train.py")
    made = sorted(runs.glob("*/*/run.json"), key=lambda path: path.stat().st_mtime_ns)
    return exit_code, made[-1].parent if made else None


def rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a .jsonl file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
