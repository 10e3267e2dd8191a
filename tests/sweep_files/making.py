"""Sweep files to try, and a loop that runs their jobs in this process."""

import json
from pathlib import Path

import yaml

from charlab.runs import read_record
from charlab.sweeps.definition.files import read_sweep_file
from charlab.sweeps.jobs import Outcome
from charlab.sweeps.search.plan import plan
from charlab.sweeps.search.space import Space

from .pretended import NUM_STEPS, score

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"]
LR = {"distribution": "log_uniform_values", "min": 1.0e-4, "max": 0.1}
SWEEP = {
    "program": str(ROOT / "train.py"),
    "method": "random",
    "metric": {"name": "val/bpc", "goal": "minimize"},
    "command": COMMAND,
    "run_cap": 6,
    "parameters": {"group": {"value": "g"}, "optimizer.lr": LR},
}


def write_sweep(folder, **changes):
    """A sweep file with changes of its top level; None leaves a key out."""
    path = folder / "sweep.yaml"
    content = {key: value for key, value in (SWEEP | changes).items() if value is not None}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def planned(folder, *typed, per=None, num_trials=None, storage_url=None, seed=0, **changes):
    file = read_sweep_file(write_sweep(folder, **changes))
    typed = [f"paths.runs={folder / 'runs'}", *typed]
    return plan(file, typed, per=per, num_trials=num_trials, storage_url=storage_url, seed=seed)


def space_of(folder, *typed, **changes):
    return Space.of(read_sweep_file(write_sweep(folder, **changes)), typed)


def value_of(job, name):
    """What a job sets an option to."""
    (text,) = (line.partition("=")[2] for line in job.overrides if line.startswith(f"{name}="))
    return text


def start(job):
    """A run directory of a job that has begun, and whose process is no more."""
    run = job.folder / job.name
    run.mkdir(parents=True, exist_ok=True)
    write(run, status="running", started="2026-01-01T00:00:00+00:00", ended=None)
    return run


def write(run, **entries):
    file = run / "run.json"
    record = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(record | entries))


def run_job(source, job, *, until=NUM_STEPS, scored=score):
    """Its validations up to a step, or to where the source stops it; returns how it ended."""
    run = start(job)
    file = run / "metrics.jsonl"
    done = len(file.read_text().splitlines()) if file.exists() else 0
    for step in range(done + 1, until + 1):
        row = {"step": 10 * step, "val/bpc": scored(job.config, step)}
        with file.open("a") as rows:
            rows.write(json.dumps(row) + "\n")
        if not source.look(job, row) and step < NUM_STEPS:
            write(run, status="pruned")
            return outcome(job, "pruned")
    if until < NUM_STEPS:
        write(run, status="preempted")
        return outcome(job, "interrupted")
    value = scored(job.config, NUM_STEPS)
    write(run, status="finished", scores={} if value is None else {"val/bpc": value})
    return outcome(job, "finished")


def outcome(job, ending):
    run = job.folder / job.name
    record = read_record(run) if run.exists() else {}
    return Outcome(job, ending, 0 if ending in ("finished", "skipped") else 1, run, record)


def run_all(source, **options):
    """Take, run and end jobs until there are none; returns their outcomes."""
    outcomes = []
    while (job := source.take()) is not None:
        found = job.find()
        if found is not None and found.state in ("finished", "pruned"):
            ending = "skipped" if found.state == "finished" else "pruned"
            outcomes.append(outcome(job, ending))
        else:
            outcomes.append(run_job(source, job, **options))
        source.ended(outcomes[-1])
    return outcomes
