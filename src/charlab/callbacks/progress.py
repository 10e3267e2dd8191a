"""The live bar of a run, or a line now and then where the output is not a terminal."""

import time
from typing import Any, final

from pytorch_lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from charlab.callbacks.train_log import TrainLog
from charlab.config.schema_output import ProgressConfig
from charlab.fitted_table import duration

# bits per target, by what a target is
BITS = {"char": "bpc", "byte": "bpb"}
# seconds between two lines where nothing can be redrawn
LINE_EVERY_S = 10.0


@final
class ProgressBar(Callback):
    """Shows step, loss, bits per target, the last validation, targets/s and the time left.

    unit: what a target is, "char" or "byte"
    """

    def __init__(
        self,
        config: ProgressConfig,
        console: Console,
        train_log: TrainLog,
        total_steps: int,
        unit: str,
    ) -> None:
        self.console = console
        self.live = console.is_terminal
        self.every_s = config.refresh_s if self.live else LINE_EVERY_S
        self.train_log = train_log
        self.total_steps = total_steps
        self.unit = unit
        self.val_bpc: float | None = None
        self._shown_s = 0.0
        self._bar = Progress(
            TextColumn("step [bold]{task.completed:,.0f}[/]/{task.total:,.0f}"),
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self._task: TaskID = self._bar.add_task("starting", total=total_steps)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._shown_s = time.monotonic()
        if self.live:
            self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.monotonic() - self._shown_s >= self.every_s and self.train_log.latest:
            self._show(trainer.global_step)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.val_bpc = float(trainer.callback_metrics["val/bpc"])
        if self.live and self.train_log.latest:
            self._show(trainer.global_step)

    def _show(self, step: int) -> None:
        self._shown_s = time.monotonic()
        text = self._describe(step)
        if self.live:
            self._bar.update(self._task, completed=step, description=text, refresh=True)
        else:
            self.console.print(f"step {step:,}/{self.total_steps:,}  {text}")

    def _describe(self, step: int) -> str:
        row = self.train_log.latest
        left_s = (self.total_steps - step) * row["perf/step_ms"] / 1000
        parts = [
            f"loss {row['train/loss']:.3f}",
            f"{row['train/bpc']:.3f} {BITS[self.unit]}",
            "" if self.val_bpc is None else f"val {self.val_bpc:.3f} {BITS[self.unit]}",
            f"{row['perf/chars_per_s']:,.0f} {self.unit}s/s",
            f"{duration(left_s)} left",
        ]
        return "  ".join(part for part in parts if part)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._bar.stop()

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        self._bar.stop()
