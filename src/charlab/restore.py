"""A trained model back from its run directory alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from omegaconf import OmegaConf

from charlab.checkpoint import load_weights, read_checkpoint
from charlab.config.load import load_config
from charlab.config.schema import Config
from charlab.config.schema_data import Enwik8Config, NamesConfig, TextConfig
from charlab.data.codec import AnyVocabulary, vocabulary_from_plain
from charlab.data.dataset import DataSet
from charlab.errors import UsageError
from charlab.model import CharModel, build_model
from charlab.runs import read_record

Which = Literal["best", "last"]
WithPath = NamesConfig | Enwik8Config | TextConfig


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
    config = OmegaConf.to_object(load_config(path / "config.yaml", overrides))
    assert isinstance(config, Config)
    is_given = any(override.startswith("data.path=") for override in overrides)
    if isinstance(config.data, WithPath) and config.data.path is not None and not is_given:
        recorded = (record.get("data") or {}).get("path")
        is_here = Path(config.data.path).expanduser().exists()
        if recorded is not None and (Path(recorded).exists() or not is_here):
            config.data.path = recorded  # the other may be relative, and the run made elsewhere
    file = path / "checkpoints" / f"{which}.ckpt"
    checkpoint = read_checkpoint(file)
    try:
        vocabulary = vocabulary_from_plain(checkpoint["charlab"]["vocabulary"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{file} has no vocabulary", expected="a checkpoint of charlab") from error
    model = build_model(config.model, len(vocabulary), config.seed, Path(config.paths.cache))
    load_weights(model, checkpoint, path)
    return Restored(path, record, config, vocabulary, model.eval())


def check_same_data(restored: Restored, data: DataSet) -> None:
    """Raises UsageError where the data are not those of the run: its split would mean nothing."""
    trained = restored.record.get("data") or {}
    found = data.record["fingerprint"]
    if trained.get("fingerprint") != found:
        raise UsageError(
            "the data are not those that the run was trained on",
            expected=f"fingerprint {trained.get('fingerprint')}: {trained.get('source')}",
            got=f"fingerprint {found}: {data.record['source']}",
            hint="data.path=FILE of the run, with the same split",
            option="data.path",
        )
