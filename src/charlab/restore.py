"""What is in a run directory, back: a trained model, or a training that goes on."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from omegaconf import OmegaConf

from charlab.checkpoint import LAST, instead_of, load_weights, read_checkpoint, settle_last
from charlab.config.schema import Config
from charlab.data.codec import AnyVocabulary, vocabulary_from_plain
from charlab.errors import UsageError
from charlab.model import CharModel, build_model
from charlab.provenance import changes
from charlab.ranks import Rank
from charlab.resume import Asked, begun, left_alone
from charlab.run_config import config_of_run
from charlab.runs import Run, budget, read_record

if TYPE_CHECKING:
    # it loads Lightning, which drawing samples does without
    from charlab.data.dataset import DataSet

Which = Literal["best", "last"]


@final
@dataclass(frozen=True)
class Restored:
    """What a run directory holds, ready to use."""

    path: Path
    record: dict[str, Any]
    config: Config
    vocabulary: AnyVocabulary
    model: CharModel


def restore(path: Path, overrides: Sequence[str] = (), which: Which = "best") -> Restored:
    """The run's configuration (with overrides), vocabulary and model, in eval mode.

    Raises UsageError where the directory, its configuration or its checkpoint is unusable.
    """
    record = read_record(path)
    config = OmegaConf.to_object(config_of_run(path, overrides))
    assert isinstance(config, Config)
    file = path / "checkpoints" / f"{which}.ckpt"
    checkpoint = read_checkpoint(file)
    try:
        vocabulary = vocabulary_from_plain(checkpoint["charlab"]["vocabulary"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{file} has no vocabulary",
            expected="a checkpoint of charlab",
            hint=instead_of(file),
        ) from error
    model = build_model(config.model, len(vocabulary), config.seed, Path(config.paths.cache))
    load_weights(model, checkpoint, path)
    return Restored(path, record, config, vocabulary, model.eval())


@contextmanager
def open_run(
    rank: Rank,
    shared: Path | None,
    config: Mapping[str, Any],
    overrides: Sequence[str],
    asked: Asked,
    data: "DataSet",
    total_steps: int,
) -> Iterator[tuple[Run, Path | None, list[str]]]:
    """(the run, the checkpoint that it goes on from, what there is to say of that), for each rank.

    shared  the run directory, in a rank other than 0

    Of a run that goes on, what came after the checkpoint is taken back. Raises what
    `resume.begun` does, and UsageError where the data are not those that the run began with.
    """
    if shared is not None:
        last = shared / "checkpoints" / LAST
        yield Run.shared(shared), last if last.exists() else None, []
        return
    with begun(config, overrides, asked) as run:
        found: Path | None = None
        notes: list[str] = []
        if not run.is_new:
            if run.record.get("data"):
                check_same_data(run.record, data, "; resume=never makes another run of these")
            changed = changes(run.record)
            checkpoint, note = settle_last(run.checkpoints)
            step = None if checkpoint is None else checkpoint["global_step"]
            if asked.extends:
                _check_extension(run, step, total_steps)
            is_extended = run.record.get("budget", budget(config)) != budget(config)
            if is_extended:
                run.extend(config, step or 0)
            run.go_on(step, 0.0 if checkpoint is None else checkpoint["training"]["seconds"])
            found = None if checkpoint is None else run.checkpoints / LAST
            notes = [note] if note else []
            if is_extended:
                notes.append(
                    f"extended to {total_steps:,} steps: from here on its learning rate is that of "
                    "a run of this length"
                )
            notes.append(
                f"starts {run.path.name} again, which has no checkpoint that can be read"
                if step is None
                else f"goes on with {run.path.name} from step {step:,}"
            )
            if asked.run is None:
                others = left_alone(config, run.path)
                notes += [
                    f"interrupted too: {shlex.join(['charlab', 'resume', str(other)])}"
                    for other in others
                ]
            if changed and step:
                what = " and ".join(changed)
                notes.append(f"changed meanwhile: {what}; resume=never begins anew")
        rank.hand_over(run.path)
        yield run, found, notes


def _check_extension(run: Run, step: int | None, total_steps: int) -> None:
    """Raises UsageError where a larger budget could not be had from here."""
    if run.record["status"] == "finished" and step is None:
        raise UsageError(
            f"{run.path} has no checkpoint to go on from: all of it would be trained again",
            expected=f"checkpoints/{LAST}, as the run has left it",
            got="none that can be read",
            hint="python train.py with the larger budget makes another run",
        )
    if "budget" not in run.record:
        raise UsageError(
            f"{run.path} is of a charlab whose runs could not be extended",
            expected="a run.json that says its budget",
            got=f"{run.record['total_steps']:,} steps alone",
            hint="python train.py with the larger budget makes another run",
        )
    had = max(step or 0, run.record.get("total_steps", 0))
    if total_steps <= had:
        raise UsageError(
            "the run has had that budget",
            expected=f"more than the {had:,} steps that it has done, or is to do",
            got=f"{total_steps:,} steps",
            hint=f"trainer.max_steps=N with N above {had}",
            option="trainer.max_steps",
        )


def check_same_data(record: Mapping[str, Any], data: "DataSet", more_hint: str = "") -> None:
    """Raises UsageError where the data are not those of the run: its split would mean nothing."""
    trained = record.get("data") or {}
    found = data.record["fingerprint"]
    if trained.get("fingerprint") != found:
        raise UsageError(
            "the data are not those that the run was trained on",
            expected=f"fingerprint {trained.get('fingerprint')}: {trained.get('source')}",
            got=f"fingerprint {found}: {data.record['source']}",
            hint="data.path=FILE of the run, with the same split" + more_hint,
            option="data.path",
        )
