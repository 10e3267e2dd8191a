"""The configuration of a run, from its directory. Imports nothing heavy."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, read_write

from charlab.config.load import load_config
from charlab.config.schema_data import StreamConfig
from charlab.errors import UsageError
from charlab.run_names import NOT_HASHED, is_among
from charlab.runs import BUDGET, budget, read_record

# What may differ when a run goes on; its data are known by their fingerprint.
FREE = (*NOT_HASHED, "data.path")
EXTENDING = tuple(f"trainer.{name}" for name in BUDGET)


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


def check_stream(path: Path, overrides: Sequence[str], flag: str) -> None:
    """Raises UsageError where a run is not on one long text, which the flag is about."""
    data = config_of_run(path, overrides).data
    if not issubclass(OmegaConf.get_type(data) or object, StreamConfig):
        raise UsageError(
            f"{flag} goes with one long text",
            expected="a run on enwik8, enwik8_chars, text or python_stdlib",
            got=f"a run on data={data.name}, whose items are scored one by one",
            hint=shlex.join(["charlab", "eval", str(path)]),
            option=flag,
        )


def config_to_go_on(path: Path, overrides: Sequence[str]) -> tuple[DictConfig, bool]:
    """(as `config_of_run`, whether the run is to train longer than it was to).

    Raises UsageError where an override would change what the run has computed.
    """
    config = config_of_run(path, overrides)
    began = config_of_run(path, ())
    extends = False
    for override in overrides:
        name = override.partition("=")[0]
        before, after = (OmegaConf.select(one, name) for one in (began, config))
        if before == after or is_among(name, FREE):
            continue
        if name not in EXTENDING:
            raise UsageError(
                f"a run goes on as it began: {name} cannot be changed",
                expected=f"{name}={before}, as {path / 'config.yaml'} has it",
                got=override,
                hint=f"python train.py ... {override} makes another run",
                option=name,
            )
        extends = True
    record = read_record(path)
    if extends:
        _take_budget(config, overrides)
        _check_budget(config, record.get("num_steps"))
    # a process that extended it may have been killed before run.json said so
    return config, extends or record.get("budget", budget(config)) != budget(config)


def _take_budget(config: DictConfig, overrides: Sequence[str]) -> None:
    """Of two budgets the one that was not typed does not end the run."""
    typed = {override.partition("=")[0] for override in overrides}
    for name in EXTENDING:
        if name not in typed:
            with read_write(config):
                OmegaConf.update(config, name, None)


def _check_budget(config: DictConfig, num_steps: int | None) -> None:
    """What can be told before torch and the data are loaded; restore.py tells the rest."""
    max_steps = config.trainer.max_steps
    if num_steps is not None and max_steps is not None and max_steps <= num_steps:
        raise UsageError(
            "the run has had that budget",
            expected=f"more than the {num_steps:,} steps that it has done",
            got=f"trainer.max_steps={max_steps}",
            hint=f"trainer.max_steps=N with N above {num_steps}",
            option="trainer.max_steps",
        )
    if config.trainer.max_steps is None and config.trainer.max_epochs is None:
        raise UsageError(
            "a run needs a budget",
            expected="trainer.max_steps=N or trainer.max_epochs=N",
            got="neither",
            hint="trainer.max_epochs=N",
            option="trainer.max_steps",
        )
