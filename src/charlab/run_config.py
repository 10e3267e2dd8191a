"""The configuration of a run, from its directory. Imports nothing heavy."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, read_write

from charlab.config.load import load_config
from charlab.errors import UsageError
from charlab.runs import read_record

# What may differ when a run goes on: where things are, what is shown and kept, not its results.
FREE = (
    "paths.",
    "logger.",
    "callbacks.checkpoint.every_",
    "callbacks.progress.",
    "data.path=",
    "resume=",
)


def config_of_run(path: Path, overrides: Sequence[str]) -> DictConfig:
    """config.yaml with overrides, its data found from wherever this process is."""
    record = read_record(path)
    config = load_config(path / "config.yaml", overrides)
    is_given = any(override.startswith("data.path=") for override in overrides)
    typed = OmegaConf.select(config, "data.path", default=None)
    recorded = (record.get("data") or {}).get("path")
    if typed is not None and recorded is not None and not is_given:
        is_here = Path(typed).expanduser().exists()
        if Path(recorded).exists() or not is_here:
            with read_write(config):
                config.data.path = recorded  # the other may be relative, and the run made elsewhere
    return config


def config_to_go_on(path: Path, overrides: Sequence[str]) -> DictConfig:
    """As `config_of_run`; UsageError where an override would change what the run computes."""
    config = config_of_run(path, overrides)
    began = config_of_run(path, ())
    for override in overrides:
        name = override.partition("=")[0]
        before, after = (OmegaConf.select(one, name) for one in (began, config))
        if before != after and not override.startswith(FREE):
            raise UsageError(
                f"a run goes on as it began: {name} cannot be changed",
                expected=f"{name}={before}, as {path / 'config.yaml'} has it",
                got=override,
                hint=f"python train.py ... {override} makes another run",
                option=name,
            )
    return config
