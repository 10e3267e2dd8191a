"""How a run ends: tested, sampled, recorded as finished, preempted or failed."""

import errno
import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from pytorch_lightning import Trainer

from charlab.checkpoint import BEST, PREVIOUS, load_weights, read_checkpoint
from charlab.config.schema_output import WandbConfig
from charlab.data.dataset import DataSet
from charlab.errors import CannotWrite, Held, Interrupted, OutOfMemory
from charlab.lit import CharLitModule
from charlab.plot import draw
from charlab.runs import Run
from charlab.stopping import EndingSignals
from charlab.tracking import Tracking

_log = logging.getLogger(__name__)
# errors of a disk, and not of what is written to it
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


@contextmanager
def recorded(run: Run, config: WandbConfig, signals: EndingSignals) -> Iterator[Tracking]:
    """Whatever happens inside, run.json and W&B say how the run ended.

    Raises Interrupted for signals that end a process, CannotWrite or OutOfMemory where the disk or
    the memory is the reason; other errors go on.
    """
    tracking: Tracking | None = None
    with signals.handled():
        try:
            tracking = Tracking(config, run)
            yield tracking
            signals.ignore()
            run.check_claim()
            run.end("finished")
            (run.checkpoints / PREVIOUS).unlink(missing_ok=True)
        except BaseException as error:
            signals.ignore()
            if isinstance(error, OSError) and error.errno in DISK:
                error = CannotWrite(Path(error.filename or run.path), error)
            error = OutOfMemory.of(error) or error
            is_interrupt = isinstance(error, KeyboardInterrupt | SystemExit | Interrupted)
            goes_on = is_interrupt or isinstance(error, CannotWrite)
            if not isinstance(error, Held):  # then the run is another's
                told = "interrupted" if is_interrupt else f"{type(error).__name__}: {error}"
                # on a full disk the record goes on saying "running", and no process has the run
                with suppress(CannotWrite):
                    run.end("preempted" if goes_on else "failed", error=told)
            if tracking is not None:
                tracking.finish(exit_code=1, goes_on=goes_on)
            if is_interrupt:
                go_on = shlex.join(["charlab", "resume", str(run.path)])
                error = Interrupted(f"interrupted; to go on: {go_on}")
            raise error
        if config.images:
            show_pictures(run, tracking)
        tracking.finish(exit_code=0)


def show_pictures(run: Run, tracking: Tracking) -> None:
    """The pictures of `charlab plot` at W&B, where it is on.

    The run has finished by now: what goes wrong with a picture is told, and changes nothing.
    """
    if tracking.logger is None:
        return
    try:
        with TemporaryDirectory() as folder:
            tracking.show_images(draw(run.path, Path(folder)))
    except Exception as error:
        _log.warning(f"W&B has no pictures of the run: {type(error).__name__}: {error}")


def final_scores(
    trainer: Trainer, lit: CharLitModule, data: DataSet, run: Run, *, test: bool
) -> dict[str, float]:
    """The best validation scores and their step; with `test`, that checkpoint's scores on test.

    The best weights are in the model afterwards. Without checkpoints the last ones stand for them.
    """
    path = run.checkpoints / BEST
    scored = {**lit.latest_scores, "best_step": lit.global_step}
    if lit.config.callbacks.checkpoint.enabled and path.exists():
        checkpoint = read_checkpoint(path)
        load_weights(lit.model, checkpoint, run.path)
        scored = {**checkpoint["charlab"]["scores"], "best_step": checkpoint["global_step"]}
    if test:
        trainer.test(lit, datamodule=data.module, verbose=False)
        scored |= {name: lit.latest_scores[name] for name in lit.latest_scores if "test/" in name}
    return scored | data.provenance
