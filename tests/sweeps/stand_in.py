"""What `train.py --once` is to a sweep, in milliseconds: claims, run directories, exit codes.

stand_in.py --once [--retry-failed] run=RUNS/GROUP/NAME [OPTION=VALUE ...]

steps=N       steps in all, a row of metrics.jsonl each
pause_s=S     seconds of a step
end=WORD      at the last step: finish, fail (exit code 3), kill (SIGKILL), crash (SIGSEGV), late
              (exit code 1 after the end), hang
deaf=yes      SIGINT and SIGTERM change nothing
val=X         the validation score of all steps
"""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

from charlab.claims import Claim, deciding, holder_of
from charlab.errors import Held
from charlab.found import find_run
from charlab.lifeline import end_with_parent


def main(flags, options):
    end_with_parent()
    target = Path(options["run"])
    with deciding(target.parent):
        found = find_run(target.parent, target.name)
        if found is not None and found.state == "finished":
            print("finished already")
            return 0
        is_over = found is not None and found.state in ("failed", "pruned")
        if is_over and "--retry-failed" not in flags:
            return 1
        path = target if found is None else found.path
        if is_over:
            path = target.with_name(f"{target.name}-2")
        path.mkdir(parents=True, exist_ok=True)
        try:
            claim = Claim(path)
        except Held:
            print(f"held by {holder_of(path)}")
            return os.EX_TEMPFAIL
        total = int(options.get("steps", "3"))
        write(path, "running", total)
    done = rows_of(path)
    with (path / "starts").open("a") as file:
        env = {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
        file.write(json.dumps({"pid": os.getpid(), "step": done, **env}) + "\n")
    print(f"training from step {done}", flush=True)
    stopped, score = [], float(options.get("val", "2.5"))
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if options.get("deaf") != "yes":
            signal.signal(signum, lambda number, frame: stopped.append(number))
        else:
            signal.signal(signum, signal.SIG_IGN)
    for step in range(done + 1, total + 1):
        time.sleep(float(options.get("pause_s", "0.01")))
        if stopped:
            write(path, "preempted", total)
            claim.release()
            return 130
        if step == total:
            end(options.get("end", "finish"), path, total)
        row = {"step": step, "chars_seen": step, "seconds": 0.1}
        with (path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row | {"val/bpc": score}) + "\n")
    scores = {"val/bpc": score, "test/bpc": score + 0.5}
    write(path, "finished", total, scores=scores)
    claim.release()
    return int(options.get("end") == "late")


def end(how, path, total):
    if how == "fail":
        write(path, "failed", total, error="TrainingDiverged: it diverged")
        print("\n".join(f"a line before the end, {number}" for number in range(40)))
        print("it diverged")
        sys.exit(3)
    if how == "crash":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while how == "hang":
        time.sleep(1)


def rows_of(path):
    file = path / "metrics.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def write(path, status, total, **entries):
    file = path / "run.json"
    record = json.loads(file.read_text()) if file.exists() else {}
    record |= {"started": "2026-01-01T00:00:00+00:00", "ended": None}
    record |= {"name": path.name, "status": status, "total_steps": total, **entries}
    (path / "run.json.new").write_text(json.dumps(record))
    (path / "run.json.new").replace(file)


if __name__ == "__main__":
    words = sys.argv[1:]
    assert words[0] == "--once", words
    given = [word for word in words if not word.startswith("--")]
    sys.exit(main(words, dict(word.split("=", 1) for word in given)))
