"""Jobs that the stand-in for train.py runs, and sweeps of them in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

from charlab.sweeps.jobs import Job

STAND_IN = Path(__file__).parent / "stand_in.py"
COMMAND = (sys.executable, str(STAND_IN))
TRAINER = {"devices": 1, "accelerator": "auto", "max_steps": 30, "max_epochs": None}

# A sweep as a program: its arguments are the folder, LocalOptions and the options of its jobs.
PROGRAM = """
import json, sys
from pathlib import Path
from tests.sweeps.making import COMMAND, jobs_of
from charlab.sweeps.jobs import Listed
from charlab.sweeps.pool import LocalOptions, run_sweep
from charlab.terminal import console

folder, options, jobs, grace_s = json.loads(sys.argv[1])
source = Listed(jobs_of(Path(folder), jobs))
outcomes = run_sweep(source, COMMAND, LocalOptions(**options), console(), grace_s)
sys.exit(outcomes.exit_code)
"""


def job_of(folder: Path, seed: int, *, trainer=None, **options) -> Job:
    """A job whose run is in the folder; options as stand_in.py has them."""
    model = {"cell": "gru", "num_layers": 1, "hidden_size": 8, "match_params": None}
    config = {
        "seed": seed,
        "group": "g",
        "model": model,
        "trainer": {**TRAINER, **(trainer or {})},
        "paths": {"runs": str(folder)},
    }
    run = Job((), config)
    words = [f"{name}={value}" for name, value in options.items()]
    return Job((f"run={run.folder / run.name}", f"seed={seed}", *words), config)


def jobs_of(folder: Path, options) -> list[Job]:
    """A job a dict of options, with seeds from 0."""
    return [job_of(folder, seed, **given) for seed, given in enumerate(options)]


def start_sweep(folder: Path, jobs, *, grace_s: float = 5.0, **options) -> subprocess.Popen[str]:
    given = json.dumps([str(folder), options, jobs, grace_s])
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, given],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=STAND_IN.parents[2],
    )


def starts_of(job: Job) -> list[dict]:
    """What the stand-in noted of each time it ran the job."""
    files = sorted(job.folder.glob(f"{job.name}*/starts"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]
