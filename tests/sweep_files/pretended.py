"""What `train.py --once` is to a search, in milliseconds: a score that depends on the settings.

Stands as train.py beside a link to conf/. A run has NUM_STEPS steps, each with a validation, of
trainer.gradient_clip seconds (for lack of a better option). It fails above a learning rate of 0.5.
"""

import json
import math
import os
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NUM_STEPS = 9


def score(config, step):
    """Best at a learning rate of 0.01, and falling while the run goes on."""
    worse = {"gru": 0.0, "lstm": 0.1}.get(config["model"]["cell"], 0.2)
    return 2 + worse + (math.log10(config["optimizer"]["lr"]) + 2) ** 2 + 1 / step


def main(flags, job):
    from charlab.claims import Claim, deciding
    from charlab.errors import Held
    from charlab.lifeline import end_with_parent

    end_with_parent()
    with deciding(job.folder):
        found = job.find()
        if found is not None and found.state == "finished":
            return 0
        over = found is not None and found.state in ("failed", "pruned")
        if over and "--retry-failed" not in flags:
            return 1
        run = job.folder / (f"{job.name}-2" if over else job.name)
        run.mkdir(exist_ok=True)
        try:
            claim = Claim(run)
        except Held:
            return os.EX_TEMPFAIL
        write(run, status="running")
    metrics = run / "metrics.jsonl"
    done = len(metrics.read_text().splitlines()) if metrics.exists() else 0
    with (run / "starts").open("a") as file:
        file.write(f"{done}\n")
    stopped = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    signal.signal(signal.SIGINT, lambda number, frame: stopped.append(number))
    for step in range(done + 1, NUM_STEPS + 1):
        time.sleep(job.config["trainer"]["gradient_clip"])
        if stopped:
            write(run, status="preempted")
            claim.release()
            return 130
        if job.config["optimizer"]["lr"] > 0.5:
            write(run, status="failed", error="it diverged")
            return 3
        row = {"step": 10 * step, "seconds": step, "val/bpc": score(job.config, step)}
        with metrics.open("a") as file:
            file.write(json.dumps(row) + "\n")
    write(run, status="finished", scores={"val/bpc": score(job.config, NUM_STEPS)})
    claim.release()
    return 0


def write(run, **entries):
    file = run / "run.json"
    before = {"started": "2026-01-01T00:00:00+00:00", "ended": None, "total_steps": 10 * NUM_STEPS}
    record = {**before, **(json.loads(file.read_text()) if file.exists() else {}), **entries}
    (run / "run.json.new").write_text(json.dumps(record))
    (run / "run.json.new").replace(file)


if __name__ == "__main__":
    from charlab.config.compose import Composer
    from charlab.config.load import to_container
    from charlab.sweeps.jobs import Job

    overrides = [word for word in sys.argv[1:] if not word.startswith("--")]
    config = to_container(Composer(ROOT / "conf", "config", None).compose(overrides))
    sys.exit(main(sys.argv[1:], Job(tuple(overrides), config)))
