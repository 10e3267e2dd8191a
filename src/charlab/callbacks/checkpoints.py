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

    What they cost is in run.json: checkpoints.number, .seconds and the .bytes of the last one.

    Raises Interrupted, between two steps or within a validation. Its class makes Lightning call it
    after all other callbacks.
    """

    def __init__(
        self,
        config: CheckpointConfig,
        training: TrainerConfig,
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
        self.val_every_n_steps = training.val_every_n_steps
        self.log_every_n_steps = training.log_every_n_steps
        self.total_steps = total_steps
        self.best_score = math.inf
        self.has_best = False
        self._is_done = False
        self._saved_step = 0
        self._saved_at_s = time.monotonic()
        self._validated_step: int | None = None
        self._training: dict[str, Any] | None = None
        # before an epoch that the budget cuts short is closed
        self._at_validation: dict[str, Any] | None = None

    # ------------------------------------------------------------------------------------- when
    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, CharLitModule)
        if self._training is not None:
            module.load_training_state(self._training["ranks"][self.rank.world.rank])
            if self._training["total_steps"] != self.total_steps:
                module.take_new_schedule()
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
        if trainer.should_stop:
            self._at_validation = module.training_state()
        score = module.latest_scores[MONITOR]
        if math.isnan(score):
            score = math.inf
        if self.config.enabled and (score < self.best_score or not self.has_best):
            self.best_score, self.has_best = score, True
            self._save(trainer, BEST, weights_only=True)

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
        self._save(trainer, LAST, weights_only=False)
        self._saved_at_s = time.monotonic()
        self.clock.start()

    def _save(self, trainer: Trainer, name: str, *, weights_only: bool) -> None:
        path = self.run.checkpoints / name
        began_s = time.monotonic()
        trainer.save_checkpoint(path, weights_only=weights_only)
        if not self.run.writes:
            return
        before = self.run.record.get("checkpoints", {"number": 0, "seconds": 0.0})
        seconds = before["seconds"] + time.monotonic() - began_s
        cost = {"number": before["number"] + 1, "seconds": round(seconds, 3)}
        self.run.update(checkpoints={**cost, "bytes": path.stat().st_size})

    def on_save_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        assert isinstance(module, CharLitModule)
        state = self._at_validation if self._is_done else None
        checkpoint["training"] = {
            "is_done": self._is_done,
            "total_steps": self.total_steps,
            "seconds": self.run.seconds,
            "ranks": _of_all_ranks(state or module.training_state(), self.rank.world.size),
        }
        if not self._is_done:
            _take_back_the_next_batch(checkpoint["loops"]["fit_loop"])

    def on_load_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._training = checkpoint["training"]
        # one that is older than extensions does not say
        self._training.setdefault("total_steps", self.total_steps)
        if self._training["is_done"] and self._training["total_steps"] == self.total_steps:
            # early stopping may have ended it before its budget did
            trainer.should_stop = True
        elif self._training["is_done"]:
            _go_on_after_the_end(checkpoint["loops"]["fit_loop"])

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


def _go_on_after_the_end(loops: dict[str, Any]) -> None:
    """Make the state of Lightning's loops at the end of a budget that of a run with a larger one.

    It is in the middle of the epoch that the budget cut short, or at the start of the next one.
    """
    (position,) = loops["state_dict"]["combined_loader"]
    epochs = (loops["epoch_progress"]["total"], loops["epoch_progress"]["current"])
    if position["next_batch"] < position["num_batches"]:
        for counts in epochs:
            counts["processed"] -= 1
            counts["completed"] -= 1
        return
    for counts in epochs:
        counts["ready"] += 1
        counts["started"] += 1
    position["epoch"] += 1
    position["next_batch"] = 0
    loops["epoch_loop.batch_progress"]["is_last_batch"] = False
    for name, state in loops.items():
        if name.startswith("epoch_loop.") and "val_loop" not in name:
            _reset_current(state)


def _reset_current(progress: dict[str, Any]) -> None:
    """Counts of the batches of an epoch, wherever in the state of a loop they are."""
    for name, state in progress.items():
        if name == "current":
            progress[name] = dict.fromkeys(state, 0)
        elif isinstance(state, dict):
            _reset_current(state)
