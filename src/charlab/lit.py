"""The LightningModule: loss, carried state, optimizer, exact scores. The model is an argument.

One module serves names and streams: where a row begins a new document the data say so
(`Batch.reset_B`), and the model forgets that row's state. Training, validation and testing carry
separate states.
"""

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from charlab.config.schema import Config
from charlab.evaluation import batch_nats
from charlab.metrics import LossSums, num_documents, scores
from charlab.model import CharModel
from charlab.optim import build_optimizer, lr_factor
from charlab.types import Batch, ModelState


def step_seed(seed: int, step: int, rank: int) -> int:
    """Seed of the global generators for one step: dropout is a function of these three alone.

    So a resumed run draws what an uninterrupted one draws. torch's CPU generator keeps the low
    32 bits of a seed; SeedSequence mixes all three into them.
    """
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0])


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed the global generators of the CPU and of the device that trains.

    torch.manual_seed would do, but where no GPU has been used yet it files a call away for later,
    with a formatted traceback: 2.6 ms a step, and memory that is never given back.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)


@final
class CharLitModule(LightningModule):
    """Trains a CharModel on batches of characters.

    total_steps  optimizer steps of the whole run, which the schedule spans
    mean_targets targets of an average training batch. The loss is nats over this number, not over
                 the batch's own: batches hold names of like lengths, and each target has to weigh
                 the same whether its name is long or short
    document     what a document of the data is called ("name"), or None where it has no such unit
    bytes_per_target  of each split, where a target is a character of a stream; else empty
    metadata     plain containers written into every checkpoint under "charlab", beside the
                 latest scores

    Of several processes each trains on rows of its own. `chars_seen` is what they have seen
    together, exact whenever `count_chars` has just been called, as it is for each row of metrics
    and before each validation; so a checkpoint holds the number of the whole run.
    """

    def __init__(
        self,
        model: CharModel,
        config: Config,
        *,
        total_steps: int,
        mean_targets: float,
        document: str | None,
        bytes_per_target: Mapping[str, float],
        metadata: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.total_steps = total_steps
        self.mean_targets = mean_targets
        self.document = document
        self.bytes_per_target = bytes_per_target
        self.metadata = metadata
        self.train_sums = LossSums()
        self.epoch_sums = LossSums()
        self.eval_sums = LossSums()
        self.grad_norm: Tensor | None = None
        self.lr = config.optimizer.lr
        self.chars_seen: Tensor
        self.register_buffer("chars_seen", torch.zeros((), dtype=torch.int64))
        self.new_chars: Tensor  # seen here since they were last counted
        self.register_buffer("new_chars", torch.zeros((), dtype=torch.int64), persistent=False)
        self.latest_scores: dict[str, float] = {}
        self._carried: dict[str, ModelState] = {}

    def _nats(self, stage: str, batch: Batch) -> tuple[Tensor, Tensor]:
        """(sum, number) of the nats of the batch's targets, from the stage's carried state on."""
        nats, num_targets, self._carried[stage] = batch_nats(
            self.model, batch, self._carried.get(stage)
        )
        return nats, num_targets

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        seed_generators(
            step_seed(self.config.seed, self.global_step, self.global_rank), self.device
        )
        nats, num_targets = self._nats("train", batch)
        for sums in (self.train_sums, self.epoch_sums):
            sums.add(nats.detach(), num_targets, num_documents(batch))
        self.new_chars += num_targets
        return nats / self.mean_targets

    def total(self, local: Tensor) -> Tensor:
        """The sum of a tensor over all processes, which all have to call this."""
        summed = self.trainer.strategy.reduce(local, reduce_op="sum")
        assert isinstance(summed, Tensor)
        return summed

    def count_chars(self) -> int:
        """Characters seen so far by all processes, which all have to call this."""
        self.chars_seen += self.total(self.new_chars)
        self.new_chars.zero_()
        return int(self.chars_seen)

    def on_validation_start(self) -> None:
        self.count_chars()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.eval_sums.add(*self._nats("val", batch), num_documents(batch))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.eval_sums.add(*self._nats("test", batch), num_documents(batch))

    def on_validation_epoch_end(self) -> None:
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        self._log_scores("test")

    def _log_scores(self, prefix: str) -> None:
        sums = self.total(self.eval_sums.tensor())
        named = scores(prefix, sums, self.document, self.bytes_per_target.get(prefix))
        self.eval_sums.reset()
        self.latest_scores |= named
        self.log_dict(named, logger=False)  # for callbacks that monitor a score; in float32
        # not by self.log: Lightning counts the step of a validation one too low
        for logger in self.loggers:
            logger.log_metrics(named, step=self.global_step)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        config = self.config
        fused = config.trainer.precision != "16-mixed"
        optimizer = build_optimizer(config.optimizer, self.model, fused=fused)
        schedule = LambdaLR(
            optimizer, lambda step: lr_factor(config.scheduler, step, self.total_steps)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        # ours, not the Trainer's, because the norm before clipping is a metric; and the schedule
        # has moved on to the next step by the time that a row is logged
        self.lr = optimizer.param_groups[0]["lr"]
        limit = self.config.trainer.gradient_clip or torch.inf
        self.grad_norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)

    def take_new_schedule(self) -> None:
        """Set the learning rate of the next step where a checkpoint had that of another budget."""
        optimizer, schedule = self.optimizers(use_pl_optimizer=False), self.lr_schedulers()
        assert isinstance(optimizer, Optimizer)
        assert isinstance(schedule, LambdaLR)
        factor = lr_factor(self.config.scheduler, self.global_step, self.total_steps)
        for group, lr in zip(optimizer.param_groups, schedule.base_lrs):
            group["lr"] = lr * factor

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["charlab"] = {**self.metadata, "scores": self.latest_scores}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.latest_scores = checkpoint["charlab"]["scores"]

    def training_state(self) -> dict[str, Any]:
        """What this process knows in the middle of an epoch beyond what all processes do.

        Plain containers of tensors on the CPU. To read it changes nothing.
        """
        carried = self._carried.get("train", ())
        return {
            # copied, as a part may be the end of a tensor of all steps, which would be saved whole
            "carried": [[part.cpu().clone() for part in layer] for layer in carried],
            "new_chars": self.new_chars.cpu(),
            "train_sums": self.train_sums.tensor().cpu(),
            "epoch_sums": self.epoch_sums.tensor().cpu(),
        }

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `training_state` gave; the model is on its device by now."""
        if state["carried"]:
            # the checkpoint has lists for the NamedTuples, whose classes may be anybody's
            self._carried["train"] = tuple(
                type(layer)(*(part.to(self.device) for part in parts))
                for layer, parts in zip(self.model.initial_state(1), state["carried"], strict=True)
            )
        self.new_chars.copy_(state["new_chars"])
        self.train_sums.load(state["train_sums"].to(self.device))
        self.epoch_sums.load(state["epoch_sums"].to(self.device))
