"""Rows of training metrics every so many steps, and the stop when they show divergence.

Nothing is read from the device between rows. `LightningModule.self.log` is not used: it costs
half a millisecond on every step, logged or not.
"""

import math
from typing import Any, final

from pytorch_lightning import Callback, LightningModule, Trainer

from charlab.callbacks.clock import TrainClock
from charlab.config.schema_output import DivergenceConfig
from charlab.errors import TrainingDiverged
from charlab.lit import CharLitModule
from charlab.metrics import scores


@final
class TrainLog(Callback):
    """Logs train/loss, train/bpc, train/grad_norm, optim/lr, perf/* and progress/chars_seen.

    Loss and bpc are exact over the steps since the row before and, like the characters, over all
    processes; so all of them raise the error below together. Also makes the last step of the budget
    a validation, wherever in an epoch it falls.
    Raises TrainingDiverged when the loss of a row is NaN, infinite or above
    max_ratio * ln(vocab_size): a uniform guess costs ln(vocab_size).
    """

    def __init__(
        self,
        clock: TrainClock,
        *,
        every_n_steps: int,
        total_steps: int,
        vocab_size: int,
        divergence: DivergenceConfig,
    ) -> None:
        self.clock = clock
        self.every_n_steps = every_n_steps
        self.total_steps = total_steps
        self.limit_nats = divergence.max_ratio * math.log(vocab_size)
        self.stops_on_divergence = divergence.enabled
        self.latest: dict[str, float] = {}
        self._row_step = 0
        self._row_chars = 0
        self._row_s = 0.0

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.clock.start()

    def state_dict(self) -> dict[str, Any]:
        row = {"step": self._row_step, "chars": self._row_chars, "seconds": self._row_s}
        return {"row": row, "clock_s": self.clock.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        row = state_dict["row"]
        self._row_step, self._row_chars, self._row_s = row["step"], row["chars"], row["seconds"]
        self.clock.set(state_dict["clock_s"])

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(module, CharLitModule)
        step = trainer.global_step
        if step >= self.total_steps:
            trainer.should_stop = True  # Lightning validates when told to stop
        if step % self.every_n_steps == 0 or trainer.should_stop:
            self._log_row(trainer, module, step)

    def _log_row(self, trainer: Trainer, module: CharLitModule, step: int) -> None:
        chars_seen = module.count_chars()
        steps, seconds = step - self._row_step, self.clock.seconds - self._row_s
        assert module.grad_norm is not None
        self.latest = scores("train", module.total(module.train_sums.tensor()), None) | {
            "train/grad_norm": float(module.grad_norm),
            "optim/lr": module.lr,
            "perf/chars_per_s": (chars_seen - self._row_chars) / seconds,
            "perf/step_ms": 1000 * seconds / steps,
            "progress/chars_seen": chars_seen,
        }
        module.train_sums.reset()
        for logger in trainer.loggers:
            logger.log_metrics(self.latest, step=step)
        self._begin_row(step, chars_seen)
        if self.stops_on_divergence:
            self._check(step, module)

    def _begin_row(self, step: int, chars: int) -> None:
        self._row_step, self._row_chars, self._row_s = step, chars, self.clock.seconds

    def _check(self, step: int, module: CharLitModule) -> None:
        loss = self.latest["train/loss"]
        if loss <= self.limit_nats:  # false for NaN
            return
        limit = module.config.trainer.gradient_clip
        clip = "=1 (now 0, which is off)" if limit == 0 else f" below {limit:g}"
        raise TrainingDiverged(
            f"training diverged: the loss of the last steps up to step {step:,} "
            f"is {loss:.4g} nats per character",
            expected=f"at most {self.limit_nats:.3g}: callbacks.divergence.max_ratio times a "
            "uniform guess",
            got=f"gradient norm {self.latest['train/grad_norm']:.4g} at learning rate "
            f"{self.latest['optim/lr']:.4g}",
            hint=f"a lower optimizer.lr (now {module.config.optimizer.lr:g}), "
            f"trainer.gradient_clip{clip}, or debug=anomaly to find the operation",
        )

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.clock.stop()

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.clock.start()
