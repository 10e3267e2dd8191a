"""How a run ends: tested, sampled, recorded as finished or failed."""

from collections.abc import Iterator
from contextlib import contextmanager

from pytorch_lightning import Trainer

from charlab.callbacks.samples import sample_generator
from charlab.checkpoint import load_weights, read_checkpoint
from charlab.data.dataset import DataSet
from charlab.data.quality import Quality
from charlab.errors import Interrupted
from charlab.lit import CharLitModule
from charlab.model import CharModel
from charlab.runs import Run
from charlab.sampling import sample
from charlab.tracking import Tracking

# enough for the parts of a crowd to be known to half a per cent
QUALITY_SAMPLES = 5000
QUALITY_MAX_LENGTH = 100


@contextmanager
def recorded(run: Run, tracking: Tracking) -> Iterator[None]:
    """Whatever happens inside, run.json and W&B say how the run ended.

    Raises Interrupted for Ctrl-C; other errors go on as they are.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:  # Lightning turns the one into the other
        run.end("failed", error="interrupted")
        tracking.finish(exit_code=1)
        raise Interrupted(f"interrupted; what there is stays in {run.path}") from error
    except BaseException as error:
        run.end("failed", error=f"{type(error).__name__}: {error}")
        tracking.finish(exit_code=1)
        raise
    run.end("finished")
    tracking.finish(exit_code=0)


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
    return scored


def sample_quality(model: CharModel, data: DataSet, seed: int) -> Quality:
    """Quality of QUALITY_SAMPLES texts drawn at temperature 1 from nothing."""
    device = next(model.parameters()).device
    drawn = sample(
        model,
        data.vocabulary,
        sample_generator(seed, 0, device),
        num_samples=QUALITY_SAMPLES,
        max_length=QUALITY_MAX_LENGTH,
    )
    return data.quality([one.text for one in drawn], [one.ended for one in drawn])
