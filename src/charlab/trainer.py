"""Lightning's Trainer from its configuration, and the process it runs in."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import Logger

from charlab.config.schema import Config, TrainerConfig
from charlab.errors import UsageError

# Below this, the matrices of a step ([batch, hidden] times [hidden, gates]) are too small to share:
# a second thread gains nothing on an idle machine, and on a busy one its waiting costs a lot.
SHARED_FROM = 2**14


def check_devices(config: TrainerConfig) -> None:
    """Raises UsageError where what is asked for is not there."""
    if config.accelerator == "gpu" and torch.cuda.device_count() < config.devices:
        raise UsageError(
            f"trainer.accelerator=gpu with trainer.devices={config.devices} cannot run here",
            option="trainer.accelerator",
            expected=f"{config.devices} CUDA device(s)",
            got=f"{torch.cuda.device_count()}",
            hint="trainer.accelerator=auto takes what there is",
        )
    on_cpu = config.accelerator == "cpu" or torch.cuda.device_count() == 0
    if config.precision == "16-mixed" and on_cpu:
        raise UsageError(
            "trainer.precision=16-mixed needs a GPU",
            option="trainer.precision",
            expected="bf16-mixed, 32-true or 64-true on a CPU",
            got="16-mixed",
            hint="trainer.precision=bf16-mixed",
        )


def prepare_process(config: Config, hidden_size: int) -> None:
    """Threads, and silence about what charlab settles or shows by itself."""
    is_small = config.data.batch_size * hidden_size < SHARED_FROM
    num_threads = config.trainer.num_threads or (1 if is_small else torch.get_num_threads())
    torch.set_num_threads(num_threads)
    # With deterministic algorithms torch fills every new tensor, to show reads of unwritten memory;
    # it costs time at each operation and changes no result of a program that makes no such read.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # "GPU available: ...", "`Trainer.fit` stopped: ...", tips: the screen says what matters
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", ".*checkpoint.*directory.*exists and is not empty")
    # batches are ready-made tensors: workers would only copy them
    warnings.filterwarnings("ignore", ".*does not have many workers")
    # Lightning 2.6 asks torch 2.13 for a name that torch is about to drop
    warnings.filterwarnings("ignore", ".*isinstance\\(treespec, LeafSpec\\)")


def build_trainer(
    config: TrainerConfig,
    root: Path,
    total_steps: int,
    loggers: Sequence[Logger],
    callbacks: Sequence[Callback],
) -> Trainer:
    by_steps = config.val_every_n_steps is not None
    return Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        precision=cast(Any, config.precision),  # checked against the schema's choices
        max_epochs=-1,
        max_steps=total_steps,
        check_val_every_n_epoch=None if by_steps else 1,
        val_check_interval=config.val_every_n_steps,
        log_every_n_steps=config.log_every_n_steps,
        deterministic=config.deterministic,
        detect_anomaly=config.detect_anomaly,
        logger=list(loggers),
        callbacks=list(callbacks),
        default_root_dir=root,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the loaders deal out rows by themselves
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
    )


def num_steps(config: TrainerConfig, steps_per_epoch: int) -> int:
    """Optimizer steps of the whole run: the smaller of the two budgets."""
    budgets = [config.max_steps]
    if config.max_epochs is not None:
        budgets.append(config.max_epochs * steps_per_epoch)
    return min(budget for budget in budgets if budget is not None)
