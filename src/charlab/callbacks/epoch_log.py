"""A row of metrics for each epoch, and a line on the screen where it is wanted."""

from typing import Any, final

from pytorch_lightning import Callback, LightningModule, Trainer
from rich.console import Console

from charlab.callbacks.clock import TrainClock
from charlab.fitted_table import duration
from charlab.lit import CharLitModule
from charlab.metrics import scores


@final
class EpochLog(Callback):
    """Logs epoch/loss and epoch/bpc (exact means over the targets of the epoch) and perf/epoch_s.

    An epoch that the budget cuts short counts as far as it went. The clock leaves out validation
    and samples.
    """

    def __init__(self, clock: TrainClock, console: Console, *, on_screen: bool) -> None:
        self.clock = clock
        self.console = console
        self.on_screen = on_screen
        self._began_s = 0.0

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._began_s = self.clock.seconds

    def state_dict(self) -> dict[str, Any]:
        return {"began_s": self._began_s}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._began_s = state_dict["began_s"]

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, CharLitModule)
        train_s = self.clock.seconds - self._began_s
        row = scores("epoch", module.total(module.epoch_sums.tensor()), None)
        module.epoch_sums.reset()
        for logger in trainer.loggers:
            logger.log_metrics(row | {"perf/epoch_s": train_s}, step=trainer.global_step)
        if trainer.is_last_batch:  # else a larger budget may go on with this epoch
            self._began_s = self.clock.seconds
        if self.on_screen:
            self.console.print(
                f"[bold]epoch {trainer.current_epoch}[/]  mean loss {row['epoch/loss']:.4f} nats  "
                f"{row['epoch/bpc']:.4f} bits  {duration(train_s)}"
            )
