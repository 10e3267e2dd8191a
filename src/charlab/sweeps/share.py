"""What each job of a sweep gets of this machine: GPUs and CPU threads. Imports no torch."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, final

from charlab.cores import num_cores
from charlab.errors import UsageError

GPUS = "CUDA_VISIBLE_DEVICES"
THREADS = "OMP_NUM_THREADS"
LIST_GPUS = ("nvidia-smi", "-L")
LIST_GPUS_S = 20.0


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes.

    Those of CUDA_VISIBLE_DEVICES where it is set; else all that nvidia-smi lists, by number, or by
    UUID the parts (MIG) of those that are divided.
    """
    if GPUS in environment:
        named = [name.strip() for name in environment[GPUS].split(",")]
        ends = [place for place, name in enumerate(named) if name in ("", "-1")]
        return named[: ends[0]] if ends else named  # CUDA stops at what it does not know
    try:
        done = subprocess.run(LIST_GPUS, capture_output=True, text=True, timeout=LIST_GPUS_S)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return _listed(done.stdout) if done.returncode == 0 else []


def _listed(text: str) -> list[str]:
    """The GPUs in the output of `nvidia-smi -L`: a line each, and indented below it its parts."""
    gpus: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if whole := re.match(r"GPU (\d+):", line):
            gpus.append((whole[1], []))
        elif gpus and (part := re.match(r"\s+MIG .*\(UUID: ([^)]+)\)", line)):
            gpus[-1][1].append(part[1])
    return [name for number, parts in gpus for name in (parts or [number])]


@final
class Shares:
    """GPUs and threads, dealt out to the jobs that run side by side.

    workers       jobs side by side, at most
    gpus_per_job  GPUs of each job, at least

    More workers than there are GPUs for share them, as evenly as can be. A job on several devices
    gets that many. Raises UsageError where there are GPUs, but fewer than gpus_per_job.
    """

    def __init__(
        self,
        workers: int,
        gpus_per_job: int,
        gpus: Sequence[str],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        if gpus and gpus_per_job > len(gpus):
            raise UsageError(
                f"{gpus_per_job} GPUs for each job are more than there are",
                expected=f"at most {len(gpus)}: {', '.join(gpus)}",
                got=f"gpus_per_job={gpus_per_job}",
                option="hydra.launcher.gpus_per_job",
            )
        self.workers = workers
        self.gpus_per_job = gpus_per_job
        self.jobs_on = dict.fromkeys(gpus, 0)
        # how many jobs a GPU takes, so that all workers find one
        self.jobs_per_gpu = -(-workers * gpus_per_job // len(gpus)) if gpus else 0
        self._sets_threads = workers > 1 and THREADS not in environment

    @property
    def words(self) -> str:
        """What a job gets, in words that go on a sentence."""
        gpus = f" · {self.gpus_per_job} of {len(self.jobs_on)} GPUs each" if self.jobs_on else ""
        if self.jobs_per_gpu > 1:
            gpus += f", up to {self.jobs_per_gpu} jobs on a GPU"
        threads = max(1, num_cores() // self.workers)
        return gpus + (f" · {threads} of {num_cores()} threads each" if self._sets_threads else "")

    def take(self, config: Mapping[str, Any]) -> tuple[str, ...] | None:
        """GPUs for a job with this configuration; None while too few of them are free."""
        num = min(self._num_gpus(config), len(self.jobs_on))
        free = [gpu for gpu, jobs in self.jobs_on.items() if jobs < self.jobs_per_gpu]
        if len(free) < num:
            return None
        taken = tuple(sorted(free, key=self.jobs_on.__getitem__)[:num])
        for gpu in taken:
            self.jobs_on[gpu] += 1
        return taken

    def give_back(self, gpus: Sequence[str]) -> None:
        for gpu in gpus:
            self.jobs_on[gpu] -= 1

    def environment(self, config: Mapping[str, Any], gpus: Sequence[str]) -> dict[str, str]:
        """What to set for a job that has these GPUs."""
        found = {GPUS: ",".join(gpus)} if gpus else {}
        if self._sets_threads:
            devices = config["trainer"]["devices"]
            found[THREADS] = str(max(1, num_cores() // self.workers // devices))
        return found

    def _num_gpus(self, config: Mapping[str, Any]) -> int:
        trainer = config["trainer"]
        if not self.jobs_on or trainer["accelerator"] == "cpu":
            return 0
        return max(self.gpus_per_job, int(trainer["devices"]))
