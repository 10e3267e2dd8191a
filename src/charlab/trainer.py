"""Lightning's Trainer from its configuration, and the processes it runs in."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast, final

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.io import CheckpointIO
from pytorch_lightning.strategies import DDPStrategy
from torch import distributed

from charlab.checkpoint import read_checkpoint, write_checkpoint
from charlab.config.schema import Config, TrainerConfig
from charlab.errors import UsageError
from charlab.ranks import Rank
from charlab.threads import choose_threads
from charlab.world import World


@final
class DurableCheckpointIO(CheckpointIO):
    """How Lightning reads and writes checkpoints."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        write_checkpoint(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


def accelerator_of(config: TrainerConfig) -> str:
    """The accelerator that is meant by auto: of several processes each takes a GPU, or none does.

    Lightning's own choice may also be a kind of device that has no process groups.
    """
    if config.accelerator != "auto" or config.devices == 1:
        return config.accelerator
    return "gpu" if torch.cuda.device_count() > 0 else "cpu"


def where_it_runs(config: TrainerConfig) -> tuple[str, torch.dtype]:
    """(type of the device, type of the weights and states) of the Trainer of a configuration."""
    dtype = torch.float64 if config.precision == "64-true" else torch.float32
    accelerator = accelerator_of(config)
    if accelerator == "auto" and torch.backends.mps.is_available():
        return "mps", dtype
    is_gpu = accelerator == "gpu" or (accelerator == "auto" and torch.cuda.is_available())
    return "cuda" if is_gpu else "cpu", dtype


def check_devices(config: TrainerConfig) -> None:
    """Raises UsageError where what is asked for is not there."""
    if accelerator_of(config) == "gpu" and torch.cuda.device_count() < config.devices:
        raise UsageError(
            f"trainer.accelerator={config.accelerator} with trainer.devices={config.devices} "
            "cannot run here",
            option="trainer.accelerator" if config.accelerator == "gpu" else "trainer.devices",
            expected=f"{config.devices} CUDA device(s)",
            got=f"{torch.cuda.device_count()}",
            hint="trainer.accelerator=cpu, or fewer trainer.devices",
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
    choose_threads(config.data.batch_size, hidden_size, config.trainer.num_threads)
    # With deterministic algorithms torch fills every new tensor, to show reads of unwritten memory;
    # it costs time at each operation and changes no result of a program that makes no such read.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # "GPU available: ...", "`Trainer.fit` stopped: ...", tips: the screen says what matters
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # the last step is logged, however few there are
    warnings.filterwarnings("ignore", ".*smaller than the logging interval")
    warnings.filterwarnings("ignore", ".*checkpoint.*directory.*exists and is not empty")
    # batches are ready-made tensors: workers would only copy them
    warnings.filterwarnings("ignore", ".*does not have many workers")
    # each of our processes is one that SLURM or the user has started, not one of srun's tasks
    warnings.filterwarnings("ignore", "The `srun` command is available")
    # its new name has another meaning when the processes begin, and torch 2.6 does not know it
    warnings.filterwarnings("ignore", ".*broadcast_buffers. is deprecated")
    # our scores are sums over all processes already
    warnings.filterwarnings("ignore", ".*sync_dist=True")
    # Lightning 2.6 asks torch 2.13 for a name that torch is about to drop
    warnings.filterwarnings("ignore", ".*isinstance\\(treespec, LeafSpec\\)")


@contextmanager
def process_group(rank: Rank, config: TrainerConfig) -> Iterator[None]:
    """What the ranks of a run sum gradients and scores through; Lightning uses the one there is.

    They meet in a file of their own: a port could be taken by another program first.
    """
    if rank.world.size == 1:
        yield
        return
    is_gpu = accelerator_of(config) == "gpu"
    device = torch.device("cuda", rank.world.rank) if is_gpu else None
    distributed.init_process_group(
        "nccl" if is_gpu else "gloo",
        init_method=f"file://{rank.store}",
        rank=rank.world.rank,
        world_size=rank.world.size,
        device_id=device,
    )
    yield
    # not after an error, when it could wait for ranks that are no more
    distributed.destroy_process_group()


def build_trainer(
    config: TrainerConfig,
    root: Path,
    total_steps: int,
    loggers: Sequence[Logger],
    callbacks: Sequence[Callback],
    world: World = World(),
) -> Trainer:
    """Several processes have to be in their process_group."""
    by_steps = config.val_every_n_steps is not None
    trainer = Trainer(
        accelerator=accelerator_of(config),
        devices=world.size,
        strategy=_strategy() if world.size > 1 else "auto",
        # what starts the processes is known: not SLURM, whatever its variables say
        plugins=[LightningEnvironment(), DurableCheckpointIO()],
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
    _leave_signals_alone(trainer)
    return trainer


def _strategy() -> DDPStrategy:
    return DDPStrategy(
        broadcast_buffers=False,  # they hold nothing that rank 0 knows better
        gradient_as_bucket_view=True,  # saves a copy of the gradients
        find_unused_parameters=False,
    )


def _leave_signals_alone(trainer: Trainer) -> None:
    """stopping.py and launch.py handle them.

    Lightning 2.6 answers SIGTERM with a broadcast, wherever in its own collectives the other ranks
    are, and asks before each step by another broadcast whether it came: 0.7 ms on a CPU, and a GPU
    is waited for.
    """
    connector: Any = trainer._signal_connector
    connector.register_signal_handlers = lambda: None
    epoch_loop: Any = trainer.fit_loop.epoch_loop
    epoch_loop._broadcast_sigterm_tensor = lambda: None


def num_steps(config: TrainerConfig, steps_per_epoch: int) -> int:
    """Optimizer steps of the whole run: the smaller of the two budgets."""
    budgets = [config.max_steps]
    if config.max_epochs is not None:
        budgets.append(config.max_epochs * steps_per_epoch)
    return min(budget for budget in budgets if budget is not None)
