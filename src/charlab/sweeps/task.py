"""The jobs of `-m` as a Hydra launcher gets them. Imports no torch, and no Hydra."""

import time
from collections.abc import Sequence
from typing import Any, final

from omegaconf import DictConfig, OmegaConf

from charlab.errors import CharlabError
from charlab.grace import JOB_S
from charlab.processes import Processes
from charlab.sweeps.attempt import Attempt
from charlab.sweeps.jobs import Job, starting

POLL_S = 0.2


@final
class JobFailed(CharlabError):
    """A job ended with another exit code than 0."""

    def __init__(self, exit_code: int, got: str = "") -> None:
        super().__init__(f"the job ended with exit code {exit_code}", got=got)

    def __reduce__(self) -> tuple[type[CharlabError], tuple[str]]:
        return CharlabError, (self.what,)  # launchers send it from one process to another


@final
class SweepTask:
    """Hydra's task function. Our launchers take the jobs from it; others call it for each job.

    command       what starts a job, before its overrides
    retry_failed  failed runs are tried again
    exit_code     that of the sweep, once it is over; None where the launcher does not set it
    """

    def __init__(self, command: Sequence[str], jobs: Sequence[Job], retry_failed: bool) -> None:
        self.command = tuple(command)
        self.jobs = tuple(jobs)
        self.retry_failed = retry_failed
        self.exit_code: int | None = None

    def __call__(self, config: DictConfig) -> None:
        """Run the job with this configuration to its end, in a process of its own.

        Raises JobFailed where it fails.
        """
        plain: Any = OmegaConf.to_container(config, resolve=True)
        key = Job((), plain).key
        job = next(job for job in self.jobs if job.key == key)
        words = starting(self.command, retry_failed=self.retry_failed)
        attempt = Attempt(job, words, {}, (), Processes())
        try:
            while (code := attempt.poll()) is None:
                time.sleep(POLL_S)
        finally:  # the launcher stops
            attempt.stop(JOB_S)
            while attempt.poll() is None:
                time.sleep(POLL_S)
            attempt.close()
        if code != 0:
            raise JobFailed(code, f"see {attempt.log}")
