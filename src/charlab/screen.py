"""What a run shows in the terminal: its set-up, its samples, its outcome and what to type next."""

import math
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from charlab.config.schema import Config
from charlab.config.schema_output import SamplesConfig
from charlab.data.dataset import DataSet
from charlab.data.quality import Quality
from charlab.model import CharModel, cell_options
from charlab.runs import Run
from charlab.sampling import Sample
from charlab.tracking import Tracking

# samples up to this many characters share a line
SHORT = 30
# a line longer than this is hard to read, and one of a log file need not be 80 wide
LOG_WIDTH = 120


def console() -> Console:
    """The terminal, or plain lines where the output goes to a file."""
    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else LOG_WIDTH)


def show_config(console: Console, plain: Mapping[str, Any]) -> None:
    """The resolved configuration, a branch a group; options that are not set are left out."""
    tree = Tree(
        Text.assemble(("config  ", "bold"), (_pairs(plain, scalars=True), "dim")),
        guide_style="dim",
    )
    for group in ("data", "model", "optimizer", "scheduler", "trainer"):
        node = dict(plain[group])
        kind = node.pop("cell", None) or node.pop("name", "")
        tree.add(
            Text.assemble(
                (f"{group:<10}", "cyan"),
                (f"{kind}  " if kind else "", "bold"),
                (_pairs(node), "dim"),
            )
        )
    console.print(tree)


def _pairs(node: Mapping[str, Any], scalars: bool = False) -> str:
    return "  ".join(
        f"{key}={value}"
        for key, value in node.items()
        if value is not None and not (scalars and isinstance(value, Mapping))
    )


def show_setup(
    console: Console,
    config: Config,
    data: DataSet,
    model: CharModel,
    run: Run,
    tracking: Tracking,
    trainer: Trainer,
    total_steps: int,
) -> None:
    """What is about to run, on what, and where it is recorded."""
    size = model.record
    wandb = {
        "online": "online",
        "offline": f"offline, in {run.path}/wandb (`wandb sync` sends it)",
        "disabled": "disabled",
    }
    epochs = total_steps / len(data.module.train_dataloader())
    console.print()
    console.print(
        _grid(
            [
                (
                    "model",
                    f"{config.model.cell} · [bold]{size['num_params']:,}[/] parameters · "
                    f"{size['num_layers']} x {size['hidden_size']} units · "
                    f"state of {size['state_size']:,} numbers",
                ),
                ("data", escape(data.summary)),
                (
                    "floor",
                    " · ".join(
                        f"{order}-gram {floor.test_bpc:.3f}" for order, floor in data.floors.items()
                    )
                    + " bits/char on test",
                ),
                (
                    "budget",
                    f"{total_steps:,} steps of {config.data.batch_size} = {epochs:.1f} epochs",
                ),
                (
                    "device",
                    f"{device_name(trainer)} · {_threads()} · {config.trainer.precision}",
                ),
                ("run", escape(str(run.path))),
                (
                    "W&B",
                    escape(wandb[tracking.mode] + (f": {tracking.note}" if tracking.note else "")),
                ),
            ]
        )
    )
    console.print()


def device_name(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _threads() -> str:
    num_threads = torch.get_num_threads()
    return "1 thread" if num_threads == 1 else f"{num_threads} threads"


def _grid(rows: Sequence[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(label, text)
    return grid


def show_samples(
    console: Console, samples: Sequence[Sample], step: int, config: SamplesConfig
) -> None:
    """A few samples of each prompt at each temperature; one that was cut ends in "…"."""
    if config.on_screen == 0:
        return
    console.print(f"[bold]samples[/] [dim]at step {step:,}[/]")
    for (prompt, temperature), group in groupby(samples, lambda one: (one.prompt, one.temperature)):
        texts = [one.text if one.ended else f"{one.text}…" for one in group][: config.on_screen]
        short = all(len(text) <= SHORT and "\n" not in text for text in texts)
        label = (
            f"  [cyan]T={temperature:<4g}[/][dim]{escape(repr(prompt)) if prompt else '':<10}[/]"
        )
        for text in ["   ".join(texts)] if short else texts:
            console.print(f"{label} {escape(text)}", soft_wrap=True)


def show_outcome(console: Console, run: Run, data: DataSet, config: Config) -> None:
    """The end of a run: its score beside the floor, its cost, where it is, what to type next."""
    record = run.record
    scores = record["scores"]
    rows = _score_rows("test", scores, data) if "test/bpc" in scores else []
    rows += [
        (
            "best validation",
            f"{_shown(scores['val/bpc'])} bits/char at step {scores['best_step']:,} "
            f"({data.best_order}-gram {data.floors[data.best_order].val_bpc:.3f})",
        ),
        *_quality_rows(record["samples"]),
        (
            "time",
            f"{timedelta(seconds=round(record['train_s']))} of training, "
            f"{timedelta(seconds=round(record['seconds']))} in all · "
            f"{record['chars_seen'] / record['train_s']:,.0f} characters/s",
        ),
        ("run directory", escape(str(run.path))),
    ]
    console.print()
    console.print(_grid(rows))
    _show_next(console, run, config)


def show_evaluation(
    console: Console,
    split: str,
    scores: Mapping[str, float],
    quality: Quality | None,
    data: DataSet,
) -> None:
    """The scores of one split, beside the floor where it has one, and the samples' quality."""
    console.print(_grid([*_score_rows(split, scores, data), *_quality_rows(quality)]))


def _shown(bpc: float | None) -> str:
    return "no finite" if bpc is None else f"{bpc:.3f}"


def _score_rows(split: str, scores: Mapping[str, Any], data: DataSet) -> list[tuple[str, str]]:
    bpc = scores[f"{split}/bpc"]
    if bpc is None or not math.isfinite(bpc):
        return [(f"{split} score", "[red]not a number: the model diverged[/]")]
    nats = f"{scores[f'{split}/loss']:.3f} nats/token"
    if data.document is not None:
        each = scores[f"{split}/nats_per_{data.document}"]
        nats += f", {each:.2f} nats/{data.document}"
    score = f"[bold]{bpc:.3f} bits/char[/] ({nats})"
    return [(f"{split} score", score), *_floor_rows(split, bpc, data)]


def _floor_rows(split: str, bpc: float, data: DataSet) -> list[tuple[str, str]]:
    floors = {
        "val": {order: floor.val_bpc for order, floor in data.floors.items()},
        "test": {order: floor.test_bpc for order, floor in data.floors.items()},
    }
    if split not in floors:  # an n-gram has seen train
        return []
    shown = " · ".join(f"{order}-gram {floor:.3f}" for order, floor in floors[split].items())
    margin = floors[split][data.best_order] - bpc
    verdict = (
        f"[green]the {data.best_order}-gram is beaten by {margin:.3f}[/]"
        if margin > 0
        else f"[yellow]{-margin:.3f} short of the {data.best_order}-gram: not trained yet[/]"
    )
    return [("floors", f"{shown} bits/char"), ("", verdict)]


def _quality_rows(quality: Quality | None) -> list[tuple[str, str]]:
    if quality is None:
        return []
    parts = (
        f"{quality['unique']:.3f} unique · {quality['novel']:.3f} not in train · "
        f"{quality['ended']:.3f} ended · {quality['held_out']:.1%} of the held-out items drawn"
    )
    return [(f"{quality['num_samples']:,} samples", parts)]


def _show_next(console: Console, run: Run, config: Config) -> None:
    charlab, python = _callable("charlab"), _callable("python")
    path = shlex.quote(str(run.path))
    # the same command with another cell; options of the cell that was may not be those of another
    other = "custom_gru" if config.model.cell == "gru" else "gru"
    own = set(cell_options(config.model))
    kept = [
        word
        for word in run.record["command"][1:]
        if not word.startswith("model=")
        and word.partition("=")[0].removeprefix("model.") not in own
    ]
    again = shlex.join([sys.argv[0], *kept, f"model={other}"])
    rows = [(f"{python} {again}", "the same with another cell")]
    if config.callbacks.checkpoint.enabled:
        rows = [
            (f"{charlab} sample {path} --prompt Mar", "more from this model"),
            (f"{charlab} eval {path}", "the same score, from the run directory alone"),
            *rows,
        ]
    width = max(len(command) for command, _ in rows)
    console.print("\n[bold]Next[/]")
    for command, purpose in rows:
        console.print(f"  {escape(f'{command:<{width}}')}  [dim]{purpose}[/]", soft_wrap=True)


def _callable(name: str) -> str:
    """How this shell calls a command of the environment that runs now."""
    here = Path(sys.prefix, "bin", name)
    if shutil.which(name) == str(here) or not here.exists():
        return name
    return str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)
