"""What the number of workers does to a sweep, and what a sweep adds to its jobs.

    python benchmarks/sweep_scaling.py [--jobs 4] [--steps 200] [--workers 1 2 4 ...] [--repeats 3]
        [--by-hand 2] [--json FILE] [OPTION=VALUE ...]

The same jobs, `python train.py` cut to so many steps with different seeds, as sweeps of
`hydra.launcher.workers=W`: W=1 has all threads of the machine, more workers share them. Each sweep
is a process of its own with run directories of its own. A round has each sweep once, and jobs
started by hand one after the other, every other round in the opposite order; ratios are of the same
round. The cache is warm: one job goes before. Then the sweep is started again, to find that there
is nothing to do. OMP_NUM_THREADS is taken out of the environment, as it would set the threads of
all.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, final

import figures
from turns import Ratio, ratio

from charlab.cores import num_cores
from charlab.sweeps.share import THREADS

ROOT = Path(__file__).parents[1]
BY_HAND = 0  # in the place of a number of workers


@final
class Trials:
    """Sweeps and jobs by hand, in a temporary folder."""

    def __init__(self, folder: Path, num_steps: int, overrides: Sequence[str]) -> None:
        self.folder = folder
        self.number = 0
        self.overrides = (
            f"trainer.max_steps={num_steps}",
            f"paths.cache={folder / 'cache'}",
            "callbacks.progress.enabled=false",
            "logger.wandb.mode=disabled",
            *overrides,
        )
        self.environment = {name: value for name, value in os.environ.items() if name != THREADS}

    def by_hand(self, num_jobs: int) -> float:
        """Seconds of so many jobs, one after the other."""
        runs = self._new_runs()
        took_s = sum(self._seconds(runs, f"seed={seed}") for seed in range(num_jobs))
        self._check(runs, num_jobs)
        return took_s

    def sweep(self, num_jobs: int, num_workers: int) -> tuple[float, float]:
        """Seconds of the sweep, and of the same command once more."""
        runs = self._new_runs()
        seeds = f"seed={','.join(map(str, range(num_jobs)))}"
        start = partial(self._seconds, runs, "-m", seeds, f"hydra.launcher.workers={num_workers}")
        took_s = start()
        ended = self._check(runs, num_jobs)
        again_s = start()
        assert self._check(runs, num_jobs) == ended, "jobs were done again"
        return took_s, again_s

    def _new_runs(self) -> Path:
        self.number += 1
        return self.folder / str(self.number)

    def _seconds(self, runs: Path, *words: str) -> float:
        command = [sys.executable, str(ROOT / "train.py"), *words, f"paths.runs={runs}"]
        began_s = time.perf_counter()
        done = subprocess.run(
            [*command, *self.overrides],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=self.environment,
        )
        took_s = time.perf_counter() - began_s
        if done.returncode != 0:
            sys.exit(done.stdout)
        return took_s

    @staticmethod
    def _check(runs: Path, num_jobs: int) -> dict[str, str]:
        """When each run ended; all have to be there, and finished."""
        records = [json.loads(path.read_text()) for path in runs.glob("*/*/run.json")]
        finished = {row["name"]: row["ended"] for row in records if row["status"] == "finished"}
        assert len(finished) == len(records) == num_jobs, f"{len(finished)} jobs finished"
        return finished


def measure(
    trials: Trials, num_jobs: int, workers: Sequence[int], repeats: int, num_by_hand: int
) -> dict[str, Any]:
    """Medians over rounds; seconds a job are those of the whole over the number of jobs."""
    trials.by_hand(1)
    took_s: dict[int, list[float]] = {key: [] for key in (BY_HAND, *workers)}
    again_s: list[float] = []
    for turn in range(repeats):
        for key in list(took_s)[:: 1 if turn % 2 == 0 else -1]:
            if key == BY_HAND:
                took_s[key].append(trials.by_hand(num_by_hand))
            else:
                sweep_s, nothing_s = trials.sweep(num_jobs, key)
                took_s[key].append(sweep_s)
                again_s.append(nothing_s)
    hand_s = [seconds / num_by_hand for seconds in took_s.pop(BY_HAND)]
    first = workers[0]
    return {
        "jobs": num_jobs,
        "cores": num_cores(),
        "repeats": repeats,
        "by_hand_s_per_job": statistics.median(hand_s),
        "sweep_to_by_hand": as_plain(ratio([s / num_jobs for s in took_s[first]], hand_s)),
        "again_s": statistics.median(again_s),
        "sweeps": [
            {
                "workers": key,
                "seconds": statistics.median(took_s[key]),
                "s_per_job": statistics.median(took_s[key]) / num_jobs,
                **as_plain(ratio(took_s[first], took_s[key])),
            }
            for key in workers
        ],
    }


def as_plain(found: Ratio) -> dict[str, float]:
    return {"ratio": found.median, "ratio_low": found.low, "ratio_high": found.high}


def lines(found: Mapping[str, Any]) -> list[dict[str, str]]:
    hand_s, to_hand = found["by_hand_s_per_job"], found["sweep_to_by_hand"]
    return [
        {"by": "by hand", "s/job": f"{hand_s:.2f}", "faster": f"{to_hand['ratio']:.2f}"},
        *(
            {
                "by": f"{row['workers']} worker(s)",
                "s/job": f"{row['s_per_job']:.2f}",
                "faster": f"{row['ratio']:.2f} ({row['ratio_low']:.2f}-{row['ratio_high']:.2f})",
            }
            for row in found["sweeps"]
        ),
        {"by": "nothing to do, in all", "s/job": f"{found['again_s']:.2f}", "faster": ""},
    ]


def default_workers(cores: int) -> list[int]:
    """1, 2, 4 ... and the number of cores."""
    return [*(2**power for power in range(cores.bit_length()) if 2**power < cores), cores]


def main() -> None:
    parser = figures.parser(__doc__)
    cores = num_cores()
    parser.add_argument("--jobs", type=int, default=max(4, cores), help="of each sweep")
    parser.add_argument("--steps", type=int, default=200, help="of each job")
    parser.add_argument("--workers", type=int, nargs="+", default=default_workers(cores))
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument("--by-hand", type=int, default=2, help="jobs by hand in each round")
    parser.add_argument("overrides", nargs="*", metavar="OPTION=VALUE")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), asked.steps, asked.overrides)
        found = measure(trials, asked.jobs, asked.workers, asked.repeats, asked.by_hand)
    found["steps"] = asked.steps
    figures.show_rows(lines(found), f"{asked.jobs} jobs of {asked.steps} steps")
    if asked.json is not None:
        figures.write(found, asked.json)


if __name__ == "__main__":
    main()
