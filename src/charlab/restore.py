"""A trained model back from its run directory alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from omegaconf import OmegaConf

from charlab.checkpoint import load_weights, read_checkpoint
from charlab.config.load import load_config
from charlab.config.schema import Config
from charlab.data.dataset import DataSet
from charlab.data.vocabulary import Vocabulary
from charlab.errors import UsageError
from charlab.model import CharModel, build_model
from charlab.runs import read_record

Which = Literal["best", "last"]


@final
@dataclass(frozen=True)
class Restored:
    """What a run directory holds, ready to use."""

    path: Path
    record: dict[str, Any]
    config: Config
    vocabulary: Vocabulary
    model: CharModel


def restore(path: Path, overrides: Sequence[str] = (), which: Which = "best") -> Restored:
    """The run's configuration (with overrides), vocabulary and model, in eval mode.

    Raises UsageError where the directory, its configuration or its checkpoint is unusable.
    """
    record = read_record(path)
    config = OmegaConf.to_object(load_config(path / "config.yaml", overrides))
    assert isinstance(config, Config)
    checkpoint = read_checkpoint(path / "checkpoints" / f"{which}.ckpt")
    vocabulary = Vocabulary.from_list(checkpoint["charlab"]["vocabulary"])
    model = build_model(config.model, len(vocabulary), config.seed)
    load_weights(model, checkpoint, path)
    return Restored(path, record, config, vocabulary, model.eval())


def check_same_data(restored: Restored, data: DataSet) -> None:
    """Raises UsageError where the data are not those of the run: its split would mean nothing."""
    trained, found = restored.record["data"]["fingerprint"], data.record["fingerprint"]
    if trained != found:
        raise UsageError(
            "the data are not those that the run was trained on",
            expected=f"fingerprint {trained}: {restored.record['data']['source']}",
            got=f"fingerprint {found}: {data.record['source']}",
            hint="data.path=FILE of the run, with the same split",
            option="data.path",
        )
