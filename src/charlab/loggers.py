"""The loggers of a run: its own record always, W&B by default, CSV and TensorBoard on request."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, final

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from charlab.config.schema_output import LoggerConfig
from charlab.errors import MissingPackage
from charlab.runs import Run
from charlab.tracking import Tracking
from charlab.tracking.mode import resolve_mode


@final
class RunLogger(Logger):
    """Writes metrics into the run directory, with the characters seen when they were measured."""

    def __init__(self, run: Run, chars_seen: Callable[[], int]) -> None:
        super().__init__()
        self._run = run
        self._chars_seen = chars_seen

    @property
    def name(self) -> str:
        return self._run.path.parent.name

    @property
    def version(self) -> str:
        return self._run.path.name

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        assert step is not None
        self._run.add_metrics(step, self._chars_seen(), metrics)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml has them."""


def check_loggers(config: LoggerConfig) -> None:
    """Raises UsageError for what would end a run as soon as it has begun.

    That is W&B in a mode that it cannot have, and TensorBoard that is not installed.
    """
    resolve_mode(config.wandb.mode)
    if config.tensorboard.enabled and find_spec("tensorboard") is None:
        option = "logger.tensorboard.enabled"
        raise MissingPackage(f"{option}=true", "tensorboard", "tensorboard", option=option)


def build_loggers(
    config: LoggerConfig, run: Run, tracking: Tracking, chars_seen: Callable[[], int]
) -> list[Logger]:
    """None in a process that does not write the run."""
    if not run.writes:
        return []
    loggers: list[Logger] = [RunLogger(run, chars_seen)]
    if tracking.logger is not None:
        tracking.logger.chars_seen = chars_seen
        loggers.append(tracking.logger)
    if config.csv.enabled:
        # it would write over what is there
        version = f"resumed-{run.num_resumed}" if run.num_resumed else ""
        loggers.append(CSVLogger(run.path, name="csv", version=version))
    if config.tensorboard.enabled:
        loggers.append(TensorBoardLogger(run.path, name="tensorboard", version=""))
    return loggers
