"""What the Trainer, the loggers and the callbacks cost against a bare loop: the names default.

    python benchmarks/overhead.py [--blocks 12] [--block-steps 50] [--json FILE] [OPTION=VALUE ...]

At the enwik8 notebook's shape, on a text that every machine has:

    python benchmarks/overhead.py --blocks 8 --block-steps 3 \\
        experiment=notebook_enwik8_gru data=python_stdlib data.symbols=chars

Both train the same model on the same batches with the same optimizer, clipping and seed. They take
turns in one process, a block of steps each, so that whatever else the machine does hits both; the
ratio is the median over blocks, with an interval of 95 %. W&B is offline, as it is for whoever has
no account. Validation, samples and checkpoints are left out of both, and reported beside them.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import figures
import torch
from omegaconf import OmegaConf
from pytorch_lightning import Callback, LightningModule, Trainer
from turns import ratio

from charlab import terminal
from charlab.callbacks.build import build_callbacks
from charlab.callbacks.clock import TrainClock
from charlab.config.compose import Composer
from charlab.config.load import to_container
from charlab.config.schema import Config
from charlab.data.dataset import DataSet, build_dataset
from charlab.data.report import ConsoleReport
from charlab.evaluation import batch_nats
from charlab.lit import CharLitModule
from charlab.loggers import build_loggers
from charlab.model import build_model
from charlab.optim import build_optimizer, lr_factor
from charlab.ranks import Rank
from charlab.runs import Run
from charlab.stopping import EndingSignals
from charlab.tracking import Tracking
from charlab.trainer import build_trainer, prepare_process
from charlab.types import Batch, ModelState
from charlab.world import World

ROOT = Path(__file__).parents[1]


@final
class BareLoop:
    """The training loop as one would write it by hand, a block of steps at a time."""

    def __init__(self, config: Config, data: DataSet, total_steps: int) -> None:
        self.config = config
        self.total_steps = total_steps
        self.model = build_model(config.model, len(data.vocabulary), config.seed)
        self.model.settle("cpu", torch.float32)
        self.optimizer = build_optimizer(config.optimizer, self.model, fused=True)
        self.batches = self._forever(data)
        self.mean_targets = data.module.train_dataloader().mean_targets
        self.step = 0
        self.state: ModelState | None = None

    @staticmethod
    def _forever(data: DataSet) -> Iterator[Batch]:
        loader = data.module.train_dataloader()
        while True:
            yield from loader

    def run(self, num_steps: int) -> float:
        """Seconds for this many steps."""
        limit = self.config.trainer.gradient_clip or torch.inf
        began_s = time.perf_counter()
        for _ in range(num_steps):
            factor = lr_factor(self.config.scheduler, self.step, self.total_steps)
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.optimizer.lr * factor
            nats, _, self.state = batch_nats(self.model, next(self.batches), self.state)
            self.optimizer.zero_grad()
            torch.autograd.backward(nats / self.mean_targets)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)
            self.optimizer.step()
            self.step += 1
        return time.perf_counter() - began_s


@final
class TakingTurns(Callback):
    """After each block of the Trainer's steps, a block of the bare loop's, outside its clock."""

    def __init__(self, bare: BareLoop, clock: TrainClock, block_steps: int) -> None:
        self.bare = bare
        self.clock = clock
        self.block_steps = block_steps
        self.trainer_s: list[float] = []
        self.bare_s: list[float] = []
        self._clock_s = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % self.block_steps == 0:
            self.trainer_s.append(self.clock.seconds - self._clock_s)
            self._clock_s = self.clock.seconds
            self.clock.stop()
            self.bare_s.append(self.bare.run(self.block_steps))


def measure(
    overrides: list[str], num_blocks: int, block_steps: int, folder: Path
) -> dict[str, float]:
    """Milliseconds a step for both, their ratio, and the seconds of what the clock leaves out."""
    total_steps = num_blocks * block_steps
    composed = Composer(ROOT / "conf", "config", None).compose(
        [
            f"paths.runs={folder}",
            "trainer.max_epochs=null",
            f"trainer.max_steps={total_steps}",
            "logger.wandb.mode=offline",
            *overrides,
        ]
    )
    config, plain = OmegaConf.to_object(composed), to_container(composed)
    assert isinstance(config, Config)
    data = build_dataset(
        config.data,
        config.seed,
        Path(config.paths.cache),
        World(),
        ConsoleReport(terminal.console()),
    )
    model = build_model(config.model, len(data.vocabulary), config.seed)
    prepare_process(config, model.record["hidden_size"])
    record = Run.create(plain, overrides, folder)
    tracking = Tracking(config.logger.wandb, record)
    lit = CharLitModule(
        model,
        config,
        total_steps=total_steps,
        mean_targets=data.module.train_dataloader().mean_targets,
        document=data.document,
        bytes_per_target=data.bytes_per_target,
        metadata={"config": plain},
    )
    loggers = build_loggers(config.logger, record, tracking, lambda: int(lit.chars_seen))
    clock = TrainClock()
    callbacks = build_callbacks(
        config,
        record,
        terminal.console(),
        data.vocabulary,
        clock,
        [lambda drawn, step: record.add_samples({"step": step} | vars(one) for one in drawn)],
        data.module.probe,
        tracking.show_histograms,
        Rank(World(), None),
        EndingSignals(),
        vocab_size=len(data.vocabulary),
        unit=data.unit,
        total_steps=total_steps,
    )
    turns = TakingTurns(BareLoop(config, data, total_steps), clock, block_steps)
    trainer = build_trainer(config.trainer, record.path, total_steps, loggers, [*callbacks, turns])
    began_s = time.perf_counter()
    trainer.fit(lit, datamodule=data.module)
    fit_s = time.perf_counter() - began_s - sum(turns.bare_s)
    tracking.finish(exit_code=0)
    # the first block warms caches and threads up
    trainer_ms, bare_ms = (
        1000 * statistics.median(blocks[1:]) / block_steps
        for blocks in (turns.trainer_s, turns.bare_s)
    )
    longer = ratio(turns.trainer_s[1:], turns.bare_s[1:])
    return {
        "bare_step_ms": bare_ms,
        "trainer_step_ms": trainer_ms,
        "ratio": longer.median,
        "ratio_low": longer.low,
        "ratio_high": longer.high,
        "steps": total_steps,
        "validation_samples_checkpoints_s": fit_s - sum(turns.trainer_s),
    }


def main() -> None:
    parser = figures.parser(__doc__)
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--block-steps", type=int, default=50, help="steps of a block")
    parser.add_argument("overrides", nargs="*", metavar="OPTION=VALUE")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(arguments.overrides, arguments.blocks, arguments.block_steps, Path(folder))
    figures.show(found, "Trainer against a bare loop", None)
    if arguments.json is not None:
        figures.write({"overrides": arguments.overrides, **found}, arguments.json)


if __name__ == "__main__":
    main()
