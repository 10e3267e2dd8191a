"""The jobs of a sweep, one process each and one after another.

A process of its own for each job, because runs in one process share what a W&B run, a process group
and a CUDA context leave behind, and because a job on several devices starts its own command line
again for each of them.
"""

import shlex
import sys
from collections.abc import Sequence

from charlab.processes import Processes


def run_jobs(command: Sequence[str], jobs: Sequence[Sequence[str]]) -> int:
    """Run `command` with the overrides of each job in turn; a failed job does not stop the rest.

    Returns the exit code of the first job that failed, 0 where none did, and 128 + N after signal
    N, which the running job gets too and which starts no further job.
    """
    failures: list[tuple[str, int]] = []
    with Processes().passing_signals() as processes:
        for number, overrides in enumerate(jobs, 1):
            title = f"[{number}/{len(jobs)}] {shlex.join(overrides)}".rstrip()
            print(title, flush=True)
            exit_code = processes.run([*command, *overrides])
            if processes.ended_by is not None:
                return 128 + processes.ended_by
            if exit_code != 0:
                failures.append((title, exit_code))
    if failures:
        print(f"\n{len(failures)} of {len(jobs)} jobs failed:", file=sys.stderr)
        for title, exit_code in failures:
            print(f"  {title}  (exit code {exit_code})", file=sys.stderr)
        return failures[0][1]
    return 0
