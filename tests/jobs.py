"""Command lines of train.py in processes of their own, small enough for a test."""

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

from .running import ROOT, TINY, cache_in, write_names


class Job:
    """A command line like train.py's in a process of its own, and all processes that it starts."""

    def __init__(self, folder, *overrides, script=ROOT / "train.py", **env):
        folder.mkdir(exist_ok=True)
        if not (folder / "names.txt").exists():
            write_names(folder)
        self.runs = folder / "runs"
        self.mark = uuid.uuid4().hex
        paths = [f"paths.runs={self.runs}", f"paths.cache={cache_in(folder)}"]
        data = f"data.path={folder / 'names.txt'}"
        self.process = subprocess.Popen(
            [sys.executable, str(script), *TINY, *paths, data, *overrides],
            env={**os.environ, **env, "CHARLAB_TEST": self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            process_group=0,
        )

    def end(self):
        """(exit code, stdout, stderr)."""
        out, err = self.process.communicate(timeout=240)
        return self.process.returncode, out, err

    def left(self):
        """The processes of the job that run, after the seconds that a busy machine may take."""
        give_up_s = time.monotonic() + 30
        while self.running() and time.monotonic() < give_up_s:
            time.sleep(0.1)
        return self.running()

    def running(self):
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                ended = folder.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "Z"
                if not ended and self.mark.encode() in folder.joinpath("environ").read_bytes():
                    found.append(folder.name)
            except OSError:
                continue
        return found

    @property
    def run(self):
        (file,) = self.runs.glob("*/*/run.json")
        return file.parent

    def record(self):
        return json.loads((self.run / "run.json").read_text())

    def wait_until_it_trains(self, num_runs=1):
        found = []
        while sum("train/loss" in file.read_text() for file in found) < num_runs:
            found = list(self.runs.glob("*/*/metrics.jsonl"))
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)
