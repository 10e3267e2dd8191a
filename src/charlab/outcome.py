"""How a run ends: tested, sampled, recorded as finished or failed."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from pytorch_lightning import Trainer

from charlab.callbacks.samples import sample_generator
from charlab.checkpoint import load_weights, read_checkpoint
from charlab.config.schema_output import WandbConfig
from charlab.data.dataset import DataSet
from charlab.data.quality import Quality
from charlab.errors import Interrupted, TrainingDiverged
from charlab.lit import CharLitModule
from charlab.model import CharModel
from charlab.processes import ENDING_SIGNALS
from charlab.runs import Run
from charlab.sampling import sample
from charlab.tracking import Tracking

# enough for the parts of a crowd to be known to half a per cent
QUALITY_SAMPLES = 5000
QUALITY_MAX_LENGTH = 100


@contextmanager
def recorded(run: Run, config: WandbConfig) -> Iterator[Tracking]:
    """Whatever happens inside, run.json and W&B say how the run ended.

    Raises Interrupted for Ctrl-C and for signals that end a process; other errors go on.
    """
    tracking: Tracking | None = None
    with ending_signals_raise() as ignore_signals:
        try:
            tracking = Tracking(config, run)
            yield tracking
        except BaseException as error:
            ignore_signals()
            # Lightning turns a KeyboardInterrupt into a SystemExit
            is_interrupt = isinstance(error, KeyboardInterrupt | SystemExit)
            told = "interrupted" if is_interrupt else f"{type(error).__name__}: {error}"
            run.end("failed", error=told)
            if tracking is not None:
                tracking.finish(exit_code=1)
            if not is_interrupt:
                raise
            raise Interrupted(f"interrupted; what there is stays in {run.path}") from error
    run.end("finished")
    tracking.finish(exit_code=0)


@contextmanager
def ending_signals_raise() -> Iterator[Callable[[], None]]:
    """SIGTERM and SIGHUP raise SystemExit, where they would end the process unrecorded.

    Yields what makes them and SIGINT do nothing any more: W&B takes up to ten seconds to end a run,
    and is not to be cut short. Signals that are ignored from the start (nohup) stay so.
    """

    def leave(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    before = {number: old for number, old in handlers.items() if old is not signal.SIG_IGN}

    def ignore() -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)

    for number in before.keys() - {signal.SIGINT}:  # that one raises KeyboardInterrupt
        signal.signal(number, leave)
    try:
        yield ignore
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def final_scores(
    trainer: Trainer, lit: CharLitModule, data: DataSet, run: Run, *, test: bool
) -> dict[str, float]:
    """The best validation scores and their step; with `test`, that checkpoint's scores on test.

    The best weights are in the model afterwards. Without checkpoints the last ones stand for them.
    """
    path = run.checkpoints / "best.ckpt"
    scored = {**lit.latest_scores, "best_step": lit.global_step}
    if path.exists():
        checkpoint = read_checkpoint(path)
        load_weights(lit.model, checkpoint, run.path)
        scored = {**checkpoint["charlab"]["scores"], "best_step": checkpoint["global_step"]}
    if test:
        trainer.test(lit, datamodule=data.module, verbose=False)
        scored |= {name: lit.latest_scores[name] for name in lit.latest_scores if "test/" in name}
    return scored | data.provenance


def sample_quality(model: CharModel, data: DataSet, seed: int) -> Quality | None:
    """Quality of QUALITY_SAMPLES texts drawn at temperature 1.

    None where the model diverged, and for streams, whose samples have no quality as a crowd.
    """
    if data.quality is None:
        return None
    device = next(model.parameters()).device
    try:
        drawn = sample(
            model,
            data.vocabulary,
            sample_generator(seed, 0, device),
            num_samples=QUALITY_SAMPLES,
            max_length=QUALITY_MAX_LENGTH,
        )
    except TrainingDiverged:
        return None
    return data.quality([one.text for one in drawn], [one.ended for one in drawn])
