"""What `train.py --once` is to those who start it, in milliseconds: a run directory, exit codes.

    job_stand_in.py --once [--retry-failed] folder=RUNS/GROUP name=NAME [seconds=S] [exit=CODE]

It runs for so many seconds, over all its starts, and then ends with the exit code.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

STATUS = {0: "finished", 1: "failed", 3: "failed"}


def main(flags, options):
    run = Path(options["folder"], options["name"])
    run.mkdir(parents=True, exist_ok=True)
    done = read(run / "seconds", 0.0)
    if (run / "held").exists():
        print("held by another process", flush=True)
        return os.EX_TEMPFAIL
    if read(run / "run.json", {}).get("status") == "failed":
        if "--retry-failed" not in flags:
            return 1
        done, options["exit"] = 0.0, "0"
    stopped = []
    for signum in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(signum, lambda number, frame: stopped.append(number))
    write(run, "running")
    with (run / "starts").open("a") as file:
        file.write(f"{done:.2f} {os.environ.get('SLURM_RESTART_COUNT', '0')}\n")
    while done < float(options.get("seconds", 0)):
        time.sleep(0.05)
        done += 0.05
        if stopped:
            (run / "seconds").write_text(str(done))
            write(run, "preempted")
            return 130
    exit_code = int(options.get("exit", 0))
    write(run, STATUS[exit_code])
    return exit_code


def read(file, otherwise):
    return json.loads(file.read_text()) if file.exists() else otherwise


def write(run, status):
    record = {"status": status, "started": "2026-01-01T00:00:00+00:00", "ended": None}
    (run / "run.json.new").write_text(json.dumps(record))
    (run / "run.json.new").replace(run / "run.json")


if __name__ == "__main__":
    words = sys.argv[1:]
    assert words[0] == "--once", words
    given = [word for word in words if not word.startswith("--")]
    sys.exit(main(words, dict(word.split("=", 1) for word in given)))
