"""The typed schema of `hydra.launcher`: who starts the jobs of `-m`, and what they get."""

from dataclasses import dataclass
from typing import Optional

from charlab.config.option import option

CLASSES = "hydra_plugins.charlab_launchers.launchers"


@dataclass
class LocalConfig:
    """On this machine."""

    _target_: str = f"{CLASSES}.LocalLauncher"
    workers: int = option(1, "jobs side by side; GPUs and CPU threads are dealt out to them", ge=1)
    gpus_per_job: int = option(1, "GPUs of each job, where there are any", ge=1)


@dataclass
class SlurmConfig:
    """On a cluster, through submitit (the extra `slurm`); null: the cluster decides."""

    _target_: str = f"{CLASSES}.SlurmLauncher"
    partition: Optional[str] = option(None, "partition, as sbatch has it")
    account: Optional[str] = option(None, "account, as sbatch has it")
    qos: Optional[str] = option(None, "quality of service, as sbatch has it")
    time_min: int = option(
        240,
        "minutes a job may take at a time; it saves and queues again before they are over",
        ge=5,
    )
    gpus_per_node: Optional[int] = option(None, "GPUs of a job; null for trainer.devices", ge=0)
    cpus_per_task: Optional[int] = option(None, "CPU cores of a job; null for 4 a device", ge=1)
    mem_gb: Optional[float] = option(None, "memory of a job in GB", gt=0)
    array_parallelism: int = option(64, "jobs that may run at once", ge=1)
    max_requeues: int = option(20, "times a job may start again; 0 for never", ge=0)
    setup: list[str] = option([], "lines of shell before a job, such as 'module load cuda'")
    sbatch: list[str] = option([], "further options of sbatch, such as --constraint=a100")


LAUNCHERS: dict[str, type] = {"local": LocalConfig, "slurm": SlurmConfig}
