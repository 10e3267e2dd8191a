"""The callbacks of a run, from its configuration."""

from collections.abc import Callable, Sequence

from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EarlyStopping
from rich.console import Console

from charlab.callbacks.checkpoints import MONITOR, Checkpoints
from charlab.callbacks.clock import TrainClock
from charlab.callbacks.diagnostics import DiagnosticsLog
from charlab.callbacks.epoch_log import EpochLog
from charlab.callbacks.histograms import Histograms, HistogramSink
from charlab.callbacks.progress import ProgressBar
from charlab.callbacks.samples import Samples, Sink
from charlab.callbacks.train_log import TrainLog
from charlab.config.schema import Config
from charlab.ranks import Rank
from charlab.runs import Run
from charlab.sampling import Codec
from charlab.stopping import EndingSignals
from charlab.types import Batch


def build_callbacks(
    config: Config,
    run: Run,
    console: Console,
    codec: Codec,
    clock: TrainClock,
    sinks: Sequence[Sink],
    probe: Callable[[int, int], Batch],
    show_histograms: HistogramSink,
    rank: Rank,
    signals: EndingSignals,
    *,
    vocab_size: int,
    unit: str,
    total_steps: int,
) -> list[Callback]:
    """In this order: a row is logged before samples stop the clock, the bar shows both.

    probe  makes the batch of that many rows and steps that diagnostics are measured on
    unit   what a target is called on the screen, "char" or "byte"
    """
    chosen = config.callbacks
    train_log = TrainLog(
        clock,
        every_n_steps=config.trainer.log_every_n_steps,
        total_steps=total_steps,
        vocab_size=vocab_size,
        divergence=chosen.divergence,
    )
    epoch_log = EpochLog(clock, console, on_screen=chosen.progress.epochs)
    callbacks: list[Callback] = [train_log, epoch_log]
    if chosen.samples.enabled:
        callbacks.append(Samples(chosen.samples, codec, clock, sinks))
    wandb = config.logger.wandb
    if wandb.histograms != "none":
        every_n_steps = wandb.histograms_every_n_steps
        callbacks.append(
            Histograms(wandb.histograms, clock, show_histograms, every_n_steps=every_n_steps)
        )
    if chosen.diagnostics.enabled:
        batch = probe(chosen.diagnostics.num_rows, chosen.diagnostics.num_steps)
        callbacks.append(DiagnosticsLog(chosen.diagnostics, batch, clock, run.add_diagnostics))
    if chosen.progress.enabled:
        callbacks.append(ProgressBar(chosen.progress, console, train_log, total_steps, unit))
    if chosen.early_stopping.enabled:
        callbacks.append(
            EarlyStopping(
                MONITOR,
                patience=chosen.early_stopping.patience,
                min_delta=chosen.early_stopping.min_delta,
            )
        )
    callbacks.append(
        Checkpoints(
            chosen.checkpoint, config.trainer, run, rank, signals, clock, total_steps=total_steps
        )
    )
    return callbacks
