"""Hydra's launchers: the one that was chosen, checked, and given the jobs of a sweep."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from charlab.config.checks import check_values
from charlab.config.mistakes import first_line
from charlab.config.options import launcher_options
from charlab.config.schema_launcher import LAUNCHERS
from charlab.errors import UsageError


def check_launcher(launcher: DictConfig) -> None:
    """Enforce the ranges of `hydra.launcher`, where the launcher is one of ours."""
    schema = OmegaConf.get_type(launcher)
    if schema is not None and schema in LAUNCHERS.values():
        for field in fields(schema):
            name = f"hydra.launcher.{field.name}"
            if name in launcher_options():
                check_values(name, field, OmegaConf.to_container(launcher)[field.name])  # type: ignore


def launch(
    loader: ConfigLoader,
    config: DictConfig,
    task: Callable[[DictConfig], None],
    jobs: Sequence[Sequence[str]],
) -> bool:
    """Have the chosen launcher run the task for each job, and say whether none failed.

    config  of the sweep, with Hydra's section

    Raises UsageError for a launcher that cannot be had.
    """
    HydraConfig.instance().set_config(config)
    context = HydraContext(config_loader=loader, callbacks=Callbacks())
    name = config.hydra.runtime.choices["hydra/launcher"]
    try:
        launcher = Plugins.instance().instantiate_launcher(context, task, config)
    except (HydraException, ImportError, RuntimeError) as error:
        raise UsageError(
            f"the launcher {name} cannot be had: {first_line(error)}",
            expected=f"one of {', '.join(LAUNCHERS)}, or a launcher that is installed",
            got=f"hydra/launcher={name}",
            option="hydra/launcher",
        ) from error
    returned: Sequence[Any] = launcher.launch(jobs, initial_job_idx=0)
    return all(one.status == JobStatus.COMPLETED for one in returned)
