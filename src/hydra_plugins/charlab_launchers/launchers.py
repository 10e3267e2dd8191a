"""Launchers of sweeps, on this machine and on a SLURM cluster: one process for each job.

Hydra imports this module in every program that uses Hydra, so it imports little itself.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, final

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from charlab.config.schema_launcher import LAUNCHERS
from charlab.errors import UsageError
from charlab.sweeps.jobs import Outcome
from charlab.sweeps.task import JobFailed, SweepTask
from charlab.terminal import console

for _name, _schema in LAUNCHERS.items():
    ConfigStore.instance().store(
        group="hydra/launcher", name=_name, node=_schema, provider="charlab"
    )


class ProcessLauncher(Launcher):
    """Runs charlab's jobs, whose directories say what became of them."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Raises UsageError for a program that is not charlab's train.py."""
        if not isinstance(task_function, SweepTask):
            raise UsageError(
                f"{type(self).__name__} runs the jobs of charlab's train.py alone",
                hint="hydra/launcher=basic",
                option="hydra/launcher",
            )
        self.task = task_function

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """All jobs of the task, which are those of `job_overrides`, and their outcomes."""
        assert [tuple(overrides) for overrides in job_overrides] == [
            job.overrides for job in self.task.jobs
        ]
        outcomes = self.run(self.task)
        return [_returned(outcome) for outcome in outcomes]

    @abstractmethod
    def run(self, task: SweepTask) -> Sequence[Outcome]:
        """Run the jobs and set the task's exit code."""


def _returned(outcome: Outcome) -> JobReturn:
    over = outcome.ending in ("finished", "skipped")
    return JobReturn(
        overrides=outcome.job.overrides,
        status=JobStatus.COMPLETED if over else JobStatus.FAILED,
        _return_value=outcome if over else JobFailed(outcome.exit_code),
    )


@final
class LocalLauncher(ProcessLauncher):
    """hydra/launcher=local: on this machine, `workers` at a time, GPUs and threads dealt out."""

    def __init__(self, workers: int, gpus_per_job: int) -> None:
        self.workers = workers
        self.gpus_per_job = gpus_per_job

    def run(self, task: SweepTask) -> Sequence[Outcome]:
        from charlab.sweeps.jobs import Listed
        from charlab.sweeps.pool import LocalOptions, run_sweep

        options = LocalOptions(self.workers, self.gpus_per_job, task.retry_failed)
        outcomes = run_sweep(Listed(task.jobs), task.command, options, console())
        task.exit_code = outcomes.exit_code
        return outcomes


@final
class SlurmLauncher(ProcessLauncher):
    """hydra/launcher=slurm: on a cluster, through submitit. Options: config.schema_launcher."""

    def __init__(self, setup: Sequence[str], sbatch: Sequence[str], **options: Any) -> None:
        from charlab.sweeps.slurm.queue import SlurmOptions

        self.options = SlurmOptions(setup=tuple(setup), sbatch=tuple(sbatch), **options)

    def run(self, task: SweepTask) -> Sequence[Outcome]:
        from charlab.sweeps.slurm.watch import run_slurm

        outcomes = run_slurm(task.jobs, task.command, self.options, console(), task.retry_failed)
        task.exit_code = outcomes.exit_code
        return outcomes
