"""Checkpoints of a run: the best on validation, and the last, from which it goes on exactly.

The last one is always made between two steps, when all that belongs to the steps done is done too:
rows, samples, validation, the end of an epoch. Lightning has a hook there once the next batch has
been fetched; that fetching is taken out of the checkpoint again.
"""

import math
import time
from typing import Any, final

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from torch import distributed

from charlab.callbacks.clock import TrainClock
from charlab.checkpoint import BEST, LAST
from charlab.config.schema import TrainerConfig
from charlab.config.schema_output import CheckpointConfig
from charlab.errors import Interrupted
from charlab.lit import CharLitModule
from charlab.ranks import Rank
from charlab.runs import Run
from charlab.stopping import EndingSignals

MONITOR = "val/bpc"


@final
class Checkpoints(Checkpoint):
    """Saves, and ends training where a signal has asked for it.

    last.ckpt is made before a step that a validation follows and after that validation, every
    config.every_n_steps steps, config.every_s seconds after the one before, when a signal came, and
    at the end. So what a signal or a crash can cost is the part of a validation that was done.

    Raises Interrupted, between two steps or within a validation. Its class makes Lightning call it
    after all other callbacks.
    """

    def __init__(
        self,
        config: CheckpointConfig,
        budget: TrainerConfig,
        run: Run,
        rank: Rank,
        signals: EndingSignals,
        clock: TrainClock,
        *,
        total_steps: int,
    ) -> None:
        self.config = config
        self.run = run
        self.rank = rank
        self.signals = signals
        self.clock = clock
        self.val_every_n_steps = budget.val_every_n_steps
        self.log_every_n_steps = budget.log_every_n_steps
        self.total_steps = total_steps
        self.best_score = math.inf
        self.has_best = False
        self._is_done = False
        self._saved_step = 0
        self._saved_at_s = time.monotonic()
        self._validated_step: int | None = None
        self._training: dict[str, Any] | None = None

    # ------------------------------------------------------------------------------------- when
    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, CharLitModule)
        if self._training is not None:
            module.load_training_state(self._training["ranks"][self.rank.world.rank])
            self._training = None
        self._saved_step = trainer.global_step
        self._saved_at_s = time.monotonic()
        self.signals.deferred = True

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        pause = self.rank.pause(
            step, self._is_overdue(), self.signals.asked is not None, self._next_meeting(trainer)
        )
        if pause is not None and pause.step != step:
            pause = None
        if pause is not None or self._is_due(step, batch_idx, trainer):
            self._save_last(trainer)
        if pause is not None and pause.ends:
            raise Interrupted(f"interrupted at step {step}")

    def _is_overdue(self) -> bool:
        every_s = self.config.every_s
        return every_s is not None and time.monotonic() - self._saved_at_s >= every_s

    def _is_due(self, step: int, batch_idx: int, trainer: Trainer) -> bool:
        """Whether every process saves here, whatever the time."""
        every_n_steps = self.config.every_n_steps
        return (
            step == self._validated_step
            or self._validates_after(step + 1, batch_idx, trainer)
            or (every_n_steps is not None and step % every_n_steps == 0)
        )

    def _validates_after(self, step: int, batch_idx: int, trainer: Trainer) -> bool:
        if step >= self.total_steps:
            return True
        if self.val_every_n_steps is not None:
            return step % self.val_every_n_steps == 0
        return batch_idx + 1 == trainer.num_training_batches

    def _next_meeting(self, trainer: Trainer) -> int:
        """The next number of steps after which all ranks have waited for each other.

        On CPUs they do so in every step, for the gradients. On GPUs they only hand their work over,
        and wait when a row of metrics is read.
        """
        step = trainer.global_step
        if trainer.strategy.root_device.type == "cpu":
            return step + 1
        return (step // self.log_every_n_steps + 1) * self.log_every_n_steps

    def on_validation_batch_start(self, trainer: Trainer, *unused: Any) -> None:
        if self.signals.deferred and self.signals.asked is not None:
            raise Interrupted(f"interrupted in the validation after step {trainer.global_step}")

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, CharLitModule)
        self._validated_step = trainer.global_step
        score = module.latest_scores[MONITOR]
        if math.isnan(score):
            score = math.inf
        if self.config.enabled and (score < self.best_score or not self.has_best):
            self.best_score, self.has_best = score, True
            trainer.save_checkpoint(self.run.checkpoints / BEST, weights_only=True)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._is_done = True
        self._saved_step = 0
        self._save_last(trainer)
        self.clock.stop()
        self.signals.deferred = False
        if self.signals.asked is not None:
            raise Interrupted("interrupted after training")

    # ------------------------------------------------------------------------------------- what
    def _save_last(self, trainer: Trainer) -> None:
        if not self.config.enabled or trainer.global_step == self._saved_step:
            return
        self.run.check_claim()
        self.run.sync()
        self.clock.stop()
        self._saved_step = trainer.global_step
        trainer.save_checkpoint(self.run.checkpoints / LAST)
        self._saved_at_s = time.monotonic()
        self.clock.start()

    def on_save_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        assert isinstance(module, CharLitModule)
        checkpoint["training"] = {
            "is_done": self._is_done,
            "seconds": self.run.seconds,
            "ranks": _of_all_ranks(module.training_state(), self.rank.world.size),
        }
        if not self._is_done:
            _take_back_the_next_batch(checkpoint["loops"]["fit_loop"])

    def on_load_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._training = checkpoint["training"]
        if self._training["is_done"]:
            # early stopping may have ended it before its budget did
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"best_score": self.best_score, "has_best": self.has_best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_score, self.has_best = state_dict["best_score"], state_dict["has_best"]


def _of_all_ranks(mine: dict[str, Any], size: int) -> list[dict[str, Any]]:
    """What each rank has, in their order; all of them have to call this."""
    if size == 1:
        return [mine]
    found: list[Any] = [None] * size
    distributed.all_gather_object(found, mine)
    return found


def _take_back_the_next_batch(loops: dict[str, Any]) -> None:
    """Make the state of Lightning's loops that of the moment before it asked for the next batch."""
    progress = loops["epoch_loop.batch_progress"]
    for counts in (progress["total"], progress["current"]):
        assert counts["ready"] == counts["completed"] + 1
        counts["ready"] = counts["completed"]
    (position,) = loops["state_dict"]["combined_loader"]
    position["next_batch"] -= 1
