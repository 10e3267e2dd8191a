"""The scores of a run that was made, worked out again from its directory."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import final

from torch import Tensor

from charlab.config.schema_data import StreamConfig
from charlab.data.dataset import DataSet, build_dataset
from charlab.data.quality import Quality
from charlab.data.report import Progress, Report
from charlab.data.splits import Split
from charlab.data.stream_module import StreamDataModule
from charlab.dynamic import DynamicSettings, dynamic_evaluate, gradient_statistics
from charlab.evaluation import evaluate
from charlab.metrics import scores
from charlab.restore import Restored, Which, check_same_data, restore
from charlab.sample_quality import sample_quality
from charlab.threads import choose_threads
from charlab.types import Batch
from charlab.world import World

# Segments of train whose squared gradients are averaged: twice as many make no difference.
STATISTICS_BATCHES = 1000


@final
@dataclasses.dataclass(frozen=True)
class Rescored:
    """Scores of one split by metric name, the quality of samples, and the data they are about."""

    scores: dict[str, float]
    quality: Quality | None
    data: DataSet


def rescore(
    run: Path,
    overrides: Sequence[str],
    checkpoint: Which,
    split: Split,
    dynamic: DynamicSettings | None,
    report: Report,
) -> Rescored:
    """The exact scores of a checkpoint; with `dynamic`, that of dynamic evaluation beside them.

    Dynamic evaluation is for streams. Raises UsageError where the run or its data are unusable.
    """
    restored = restore(run, overrides, checkpoint)
    config = restored.config
    assert dynamic is None or isinstance(config.data, StreamConfig)
    data = build_dataset(config.data, config.seed, Path(config.paths.cache), World(), report)
    check_same_data(restored.record, data)
    batches = data.module.eval_dataloader(split)
    hidden_size, asked = restored.model.record["hidden_size"], config.trainer.num_threads
    choose_threads(batches.num_rows, hidden_size, asked)
    bytes_per_target = data.bytes_per_target.get(split)
    scored = scores(split, evaluate(restored.model, batches), data.document, bytes_per_target)
    if dynamic is not None:
        sums = _dynamic_sums(restored, data, split, dynamic, report)
        scored |= {
            name.replace("/", "/dynamic_"): score
            for name, score in scores(split, sums, None, bytes_per_target).items()
        }
    quality = sample_quality(restored.model, data, config.callbacks.samples.seed)
    return Rescored(scored, quality, data)


def _dynamic_sums(
    restored: Restored, data: DataSet, split: Split, settings: DynamicSettings, report: Report
) -> Tensor:
    """[nats, targets, documents] of the split read in one lane, segment by segment."""
    config = restored.config
    assert isinstance(config.data, StreamConfig)
    assert isinstance(data.module, StreamDataModule)
    as_segments = dataclasses.replace(
        config.data,
        batch_size=1,
        seq_len=settings.window,
        stateful=True,
        predict_across=True,
        reset_prob=0.0,
        eval_lanes=1,
        eval_window=settings.window,
    )
    module = StreamDataModule(data.module.corpus, as_segments, config.seed, World())
    choose_threads(1, restored.model.record["hidden_size"], config.trainer.num_threads)
    num_steps = STATISTICS_BATCHES * settings.window
    with report.progress("gradients of train", num_steps, unit="symbols") as progress:
        train = _told(module.train_dataloader(), progress)
        statistics = gradient_statistics(restored.model, train, STATISTICS_BATCHES)
    start, stop = module.corpus.bounds(split)
    doing = f"dynamic evaluation on {split}"
    with report.progress(doing, stop - start, unit="symbols") as progress:
        batches = _told(module.eval_dataloader(split), progress)
        return dynamic_evaluate(restored.model, batches, statistics, settings)


def _told(batches: Iterable[Batch], progress: Progress) -> Iterator[Batch]:
    for batch in batches:
        progress.advance(batch.inputs_TB.shape[0])
        yield batch
