"""What a run shows in the terminal: its set-up, its samples, its outcome and what to type next.

Scores beside their floors are in `score_rows`.
"""

import shlex
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
from pytorch_lightning import Trainer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from charlab.config.schema import Config
from charlab.config.schema_data import StreamConfig
from charlab.config.schema_output import SamplesConfig
from charlab.data.dataset import DataSet
from charlab.data.quality import Quality
from charlab.fitted_table import duration
from charlab.model import CharModel, cell_options
from charlab.reading.begun import words_like
from charlab.runs import Run
from charlab.sampling import Sample
from charlab.score_rows import floor_rows, quality_rows, score_rows, shown_bpc
from charlab.terminal import callable_name, harmless
from charlab.tracking import Tracking

# samples up to this many characters share a line
SHORT = 30


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
    notices: Sequence[str],
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
                *floor_rows(data),
                *(("note", f"[yellow]{escape(note)}[/]") for note in data.notes),
                (
                    "budget",
                    _budget(config, data, total_steps),
                ),
                (
                    "device",
                    f"{device_name(trainer)} · {_threads()} · {config.trainer.precision}",
                ),
                ("engine", size["engine"]),
                *(("note", f"[yellow]{escape(note)}[/]") for note in notices),
                ("run", escape(str(run.path))),
                (
                    "W&B",
                    escape(wandb[tracking.mode] + (f": {tracking.note}" if tracking.note else "")),
                ),
            ]
        )
    )
    console.print()


def _budget(config: Config, data: DataSet, total_steps: int) -> str:
    batches = data.module.train_dataloader()
    text = f"{total_steps:,} steps of {config.data.batch_size}"
    if isinstance(config.data, StreamConfig):
        text += f" rows x {config.data.seq_len} {data.unit}s"
    if config.trainer.devices > 1:
        text += f" in each of {config.trainer.devices} processes"
    if isinstance(config.data, StreamConfig):
        rest = data.record["left_out_of_an_epoch"]
        text += f", {rest:,} {data.unit}s of an epoch left out" if rest else ""
    num_epochs = total_steps / len(batches)
    return f"{text} = {num_epochs:{'.1f' if num_epochs >= 1 else '.2g'}} epochs"


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
        texts = [harmless(text) for text in texts]
        label = (
            f"  [cyan]T={temperature:<4g}[/][dim]{escape(repr(prompt)) if prompt else '':<10}[/]"
        )
        if all(len(text) <= SHORT and "\n" not in text for text in texts):
            console.print(f"{label} {escape('   '.join(texts))}", soft_wrap=True)
            continue
        console.print(label)
        for text in texts:
            console.print(Padding(Text(text.strip("\n")), (0, 0, 0, 4)))


def show_outcome(console: Console, run: Run, data: DataSet, config: Config) -> None:
    """The end of a run: its score beside the floor, its cost, where it is, what to type next."""
    record = run.record
    scores = record["scores"]
    rows = score_rows("test", scores, data) if "test/bpc" in scores else []
    rows += [
        (
            "best validation",
            f"{shown_bpc(scores['val/bpc'])} bits/{data.unit} at step {scores['best_step']:,} "
            f"({data.floors.best_order}-gram "
            f"{data.floors.ngrams[data.floors.best_order].val_bpc:.3f})",
        ),
        *quality_rows(record["samples"]),
        (
            "time",
            f"{duration(record['train_s'])} of training, "
            f"{duration(record['seconds'])} in all · "
            f"{record['chars_seen'] / record['train_s']:,.0f} {data.unit}s/s",
        ),
        ("run directory", escape(str(run.path))),
    ]
    console.print()
    console.print(_grid(rows))
    _show_next(console, run, data, config)


def show_evaluation(
    console: Console,
    split: str,
    scores: Mapping[str, float],
    quality: Quality | None,
    data: DataSet,
) -> None:
    """The scores of one split, beside the floor where it has one, and the samples' quality."""
    console.print(_grid([*score_rows(split, scores, data), *quality_rows(quality)]))


def _show_next(console: Console, run: Run, data: DataSet, config: Config) -> None:
    charlab, python = callable_name("charlab"), callable_name("python")
    path = shlex.quote(str(run.path))
    # the same command with another cell; options of the cell that was may not be those of another
    other = "custom_gru" if config.model.cell == "gru" else "gru"
    own = set(cell_options(config.model))
    kept = [
        word
        for word in words_like(run.record)[1:]
        if not word.startswith("model=")
        and word.partition("=")[0].removeprefix("model.") not in own
    ]
    # `charlab resume` has gone on with what another command began
    program = sys.argv[0] if sys.argv[0].endswith(".py") else run.record["command"][0]
    again = shlex.join([program, *kept, f"model={other}"])
    rows = [(f"{python} {again}", "the same with another cell")]
    if config.callbacks.checkpoint.enabled:
        prompt = "Mar" if data.document else shlex.quote("The ")
        rows = [
            (f"{charlab} sample {path} --prompt {prompt}", "more from this model"),
            (f"{charlab} eval {path}", "the same score, from the run directory alone"),
            *rows,
        ]
    rows.append((f"{charlab} compare {shlex.quote(str(run.path.parent))}", "then: which is better"))
    console.print("\n[bold]Next[/]")
    for command, purpose in rows:
        console.print(f"  [dim]# {purpose}[/]\n  {escape(command)}", soft_wrap=True)
