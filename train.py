"""Train one model: compose the configuration, build the parts, fit, test. `--help` says how."""

import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from charlab.config import entry
from charlab.config.load import to_container
from charlab.config.schema import Config
from charlab.launch import launch, this_command
from charlab.ranks import Rank
from charlab.resume import Asked, says_finished

# Shell completion asks for the text @hydra.main in a script before it helps with its options.


def train(composed: DictConfig, overrides: Sequence[str], asked: Asked) -> None:
    """One run of a checked configuration; `overrides` is what was typed to get it.

    A run on several devices starts this command line again for each of them.
    """
    rank = Rank.of_this_process()
    # the ranks of a run have been started because it is not
    if rank.world.size == 1 and says_finished(to_container(composed), asked):
        return
    num_processes = composed.trainer.devices
    if num_processes > rank.world.size:
        sys.exit(launch(this_command(), num_processes))
    with rank.failing_once():
        train_as(rank, composed, overrides, asked)


def train_as(rank: Rank, composed: DictConfig, overrides: Sequence[str], asked: Asked) -> None:
    """The run as one of its processes sees it."""
    # imported here, so that a mistake in the configuration is found before torch is loaded
    from rich.console import Console

    from charlab import screen, terminal
    from charlab.callbacks.build import build_callbacks
    from charlab.callbacks.clock import TrainClock
    from charlab.data.dataset import build_dataset
    from charlab.data.report import ConsoleReport
    from charlab.lit import CharLitModule
    from charlab.loggers import build_loggers, check_loggers
    from charlab.memory import check_fits, peak_memory
    from charlab.model import build_model, planned_params
    from charlab.outcome import final_scores, recorded
    from charlab.restore import open_run
    from charlab.sample_quality import sample_quality
    from charlab.stopping import EndingSignals
    from charlab.trainer import (
        build_trainer,
        check_devices,
        num_steps,
        prepare_process,
        process_group,
        where_it_runs,
    )

    config, plain = OmegaConf.to_object(composed), to_container(composed)
    assert isinstance(config, Config)
    console = terminal.console() if rank.world.is_first else Console(quiet=True)
    cache, report = Path(config.paths.cache), ConsoleReport(console)
    shared = rank.wait_for_run()
    check_devices(config.trainer)
    if rank.world.is_first:
        check_loggers(config.logger)
    data = build_dataset(config.data, config.seed, cache, rank.world, report)
    where = where_it_runs(config.trainer)
    check_fits(planned_params(config.model, len(data.vocabulary)), config, *where)
    model = build_model(config.model, len(data.vocabulary), config.seed, cache)
    prepare_process(config, model.record["hidden_size"])
    notices = model.settle(*where)
    batches = data.module.train_dataloader()
    total_steps = num_steps(config.trainer, len(batches))
    signals = EndingSignals(is_over=lambda: rank.is_over)
    with (
        open_run(rank, shared, plain, overrides, asked, data, total_steps) as (run, last, notes),
        recorded(run, config.logger.wandb, signals) as tracking,
    ):
        run.update(
            data=data.record,
            model=model.record,
            total_steps=total_steps,
            num_processes=rank.world.size,
        )
        lit = CharLitModule(
            model,
            config,
            total_steps=total_steps,
            mean_targets=batches.mean_targets,
            document=data.document,
            bytes_per_target=data.bytes_per_target,
            metadata={"config": plain, "vocabulary": data.vocabulary.to_plain()},
        )
        loggers = build_loggers(config.logger, run, tracking, lambda: int(lit.chars_seen))
        clock = TrainClock()
        chosen = config.callbacks.samples
        sinks = [
            lambda drawn, step: run.add_samples({"step": step} | vars(one) for one in drawn),
            lambda drawn, step: tracking.samples_table([vars(one) for one in drawn], step),
            lambda drawn, step: screen.show_samples(console, drawn, step, chosen),
        ]
        callbacks = build_callbacks(
            config,
            run,
            console,
            data.vocabulary,
            clock,
            sinks,
            data.module.probe,
            tracking.show_histograms,
            rank,
            signals,
            vocab_size=len(data.vocabulary),
            unit=data.unit,
            total_steps=total_steps,
        )
        with process_group(rank, config.trainer):
            trainer = build_trainer(
                config.trainer, run.path, total_steps, loggers, callbacks, rank.world
            )
            run.update(device=screen.device_name(trainer))
            screen.show_config(console, plain)
            notices += notes
            screen.show_setup(
                console, config, data, model, notices, run, tracking, trainer, total_steps
            )
            for logger in loggers:
                logger.log_hyperparams(plain)
                if last is None:
                    logger.log_metrics(data.metrics | model.metrics, step=0)
            trainer.fit(lit, datamodule=data.module, ckpt_path=last, weights_only=True)
            memory = peak_memory(trainer.strategy.root_device)
            scores = final_scores(trainer, lit, data, run, test=config.trainer.test)
        if not rank.world.is_first:
            return
        tracking.summarise(scores)
        tracking.keep_checkpoint(scores)
        run.update(
            scores=scores,
            train_s=round(clock.seconds, 3),
            chars_seen=int(lit.chars_seen),
            num_steps=trainer.global_step,
            **memory,
        )
        run.update(samples=sample_quality(model, data, chosen.seed))
    screen.show_outcome(console, run, data, config)


if __name__ == "__main__":
    entry.run(train, __file__)
