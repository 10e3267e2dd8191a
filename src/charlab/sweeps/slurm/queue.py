"""Jobs of a sweep in SLURM's queue: put there through submitit, and looked up with squeue."""

import importlib.util
import io
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from charlab.errors import MissingPackage, UsageError
from charlab.sweeps.jobs import Job, starting
from charlab.sweeps.slurm.task import REQUEUE_SIGNAL, Task, exit_file

COMMANDS = ("sbatch", "squeue", "scontrol", "srun")
# two minutes before its time limit a job is told to save
SIGNAL = f"{REQUEUE_SIGNAL.name.removeprefix('SIG')}@120"
# jobs of an array, of which SLURM by default takes 1,001
MAX_ARRAY = 1000
CPUS_PER_DEVICE = 4


@final
@dataclass(frozen=True)
class SlurmOptions:
    """What each job of a sweep asks SLURM for. Jobs are single tasks on single nodes.

    partition, account, qos  as sbatch has them; None leaves them to the cluster
    time_min           time limit of a job in minutes; two minutes before it the job saves and goes
                       back into the queue, so a run may take longer
    gpus_per_node      GPUs of a job; None for trainer.devices, none with trainer.accelerator=cpu
    cpus_per_task      CPU cores of a job; None for 4 a device
    mem_gb             memory of a job in GB; None leaves it to the cluster
    array_parallelism  jobs of the sweep that may run at once
    max_requeues       times a job may start again; 0 keeps it from starting again at all
    setup              lines of shell before the job, such as "module load cuda"
    sbatch             further options of sbatch, such as "--constraint=a100"
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time_min: int = 240
    gpus_per_node: int | None = None
    cpus_per_task: int | None = None
    mem_gb: float | None = None
    array_parallelism: int = 64
    max_requeues: int = 20
    setup: tuple[str, ...] = ()
    sbatch: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Queued:
    """A job in the queue. slurm_id: as squeue shows it, such as 12_0; folder: of its logs."""

    job: Job
    slurm_id: str
    folder: Path

    @property
    def log(self) -> Path:
        """All that the job printed, over all its starts."""
        return self.folder / f"{self.slurm_id}_0_log.out"

    @property
    def exit_code(self) -> int | None:
        """That of `train.py --once`; None until its task ends, and where the task was killed."""
        file = exit_file(self.folder, self.slurm_id)
        try:
            text = file.read_text().strip()
        except FileNotFoundError:
            return None
        return int(text) if text else None


def check_slurm() -> None:
    """Raises UsageError where jobs cannot be submitted from here."""
    if importlib.util.find_spec("submitit") is None:
        option = "hydra/launcher"
        raise MissingPackage(f"{option}=slurm", "submitit", "slurm", option=option)
    missing = [command for command in COMMANDS if shutil.which(command) is None]
    if missing:
        raise UsageError(
            "hydra/launcher=slurm needs a SLURM cluster",
            expected=f"{', '.join(COMMANDS)} on the PATH, as on a login node",
            got=f"no {', '.join(missing)}",
            hint="without it hydra.launcher.workers=N runs a sweep on this machine",
            option="hydra/launcher",
        )


def log_folder(job: Job) -> Path:
    """Where the logs of a job are, and what submitit keeps of it."""
    return (job.folder / "logs" / "slurm").absolute()


def submit(
    jobs: Sequence[Job], command: Sequence[str], options: SlurmOptions, retry_failed: bool
) -> list[Queued]:
    """One job array for up to 1,000 that have a folder and a number of devices in common.

    Raises UsageError with SLURM's own words where it does not take them.
    """
    arrays: dict[tuple[Path, int, int], list[Job]] = {}
    for job in jobs:
        arrays.setdefault((log_folder(job), *_share(job, options)), []).append(job)
    start = starting(command, retry_failed=retry_failed)
    queued = []
    for (folder, num_gpus, num_cpus), alike in arrays.items():
        for first in range(0, len(alike), MAX_ARRAY):
            array = alike[first : first + MAX_ARRAY]
            tasks = [Task((*start, *job.overrides), options.max_requeues) for job in array]
            ids = _submit_array(tasks, folder, num_gpus, num_cpus, options)
            for job, slurm_id in zip(array, ids):
                _note(job).write_text(f"{slurm_id}\n")
                queued.append(Queued(job, slurm_id, folder))
    return queued


def queued_before(job: Job) -> Queued | None:
    """The job as it was last submitted, if it was; it may be over."""
    note = _note(job)
    return Queued(job, note.read_text().strip(), note.parent) if note.exists() else None


def states() -> Mapping[str, str] | None:
    """SLURM's state of each job of this user by its id; None where SLURM does not answer.

    Jobs that are over are not among them.
    """
    command = ["squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%F %K %T"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0:
        return None
    rows = [line.split() for line in done.stdout.splitlines()]
    return {
        number if index == "N/A" else f"{number}_{index}": state.lower()
        for number, index, state in rows
    }


def _note(job: Job) -> Path:
    """The file that has the id under which the job was last submitted."""
    return log_folder(job) / f"{job.name}.id"


def _share(job: Job, options: SlurmOptions) -> tuple[int, int]:
    """(GPUs, CPU cores) of a job."""
    trainer = job.config["trainer"]
    num_devices: int = trainer["devices"]
    num_gpus = 0 if trainer["accelerator"] == "cpu" else num_devices
    if options.gpus_per_node is not None:
        num_gpus = options.gpus_per_node
    return num_gpus, options.cpus_per_task or CPUS_PER_DEVICE * num_devices


def _submit_array(
    tasks: Sequence[Task], folder: Path, num_gpus: int, num_cpus: int, options: SlurmOptions
) -> list[str]:
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    given: dict[str, Any] = {
        "partition": options.partition,
        "account": options.account,
        "qos": options.qos,
        "gpus_per_node": num_gpus or None,
        "mem": None if options.mem_gb is None else f"{round(options.mem_gb * 1024)}M",
        "setup": list(options.setup) or None,
    }
    requeue = "requeue" if options.max_requeues > 0 else "no-requeue"
    more = {requeue: True, "signal": SIGNAL} | dict(map(_named, options.sbatch))
    executor = submitit.SlurmExecutor(folder)
    executor.update_parameters(
        **{name: value for name, value in given.items() if value is not None},
        job_name="charlab",
        time=options.time_min,
        nodes=1,
        ntasks_per_node=1,
        cpus_per_task=num_cpus,
        # srun does not take it from sbatch since SLURM 22.05
        srun_args=[f"--cpus-per-task={num_cpus}"],
        array_parallelism=options.array_parallelism,
        stderr_to_stdout=True,
        additional_parameters=more,
    )
    try:
        with redirect_stderr(io.StringIO()):  # the error has it all
            return [job.job_id for job in executor.submit_array(tasks)]
    except (FailedJobError, FailedSubmissionError) as error:
        lines = str(error).strip().splitlines()
        asks_gpus = num_gpus > 0 and options.gpus_per_node is None
        raise UsageError(
            "SLURM does not take the jobs",
            expected="options that this cluster has",
            got=lines[-1] if lines else "no reason given",
            hint="hydra.launcher.gpus_per_node=0 on a cluster without GPUs" if asks_gpus else "",
            option="hydra/launcher",
        ) from error


def _named(option: str) -> tuple[str, str | bool]:
    """(name, value) of an option of sbatch; its value is True where it has none."""
    name, has_value, value = option.partition("=")
    if not name.startswith("--") or " " in name:
        raise UsageError(
            f"{option} is not an option of sbatch",
            expected="--NAME=VALUE or --NAME",
            got=option,
            hint="hydra.launcher.sbatch=[--constraint=a100,--exclusive]",
            option="hydra.launcher.sbatch",
        )
    return name.removeprefix("--"), value if has_value else True
