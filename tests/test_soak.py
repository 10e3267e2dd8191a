"""Many kills at random: whatever is hit, the run ends as one that nobody touched.

pytest -m slow tests/test_soak.py -s     says how many, and where the runs went on

$SOAK_KILLS and $SOAK_KILLS_OF_TWO say how many kills, of a configuration of one process and of that
of two. Each configuration adds a row to the file $SOAK_JSONL, where that is set. The plans of kills
follow from SEED alone; what a kill that comes after some time hits does not.
"""

import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from charlab.runs import read_record

from .jobs import Job
from .killing import Blow, Timed, differences, results
from .test_resume import (
    DDP,
    EPOCH_END,
    FSYNC,
    RUNS,
    SAMPLES,
    STEP,
    SYNC_FOLDER,
    TERM,
    VAL,
    WRITE,
    go,
    only_run,
)
from .test_stream_runs import write_text

pytestmark = pytest.mark.slow

SEED = 1
KILLS_OF_EACH = int(os.environ.get("SOAK_KILLS", "14"))
KILLS_OF_TWO = int(os.environ.get("SOAK_KILLS_OF_TWO", "8"))
KILL = signal.SIGKILL
PLACES = (STEP, STEP, STEP, VAL, SAMPLES, EPOCH_END, WRITE, FSYNC, SYNC_FOLDER)


def some_blow(rng, whole_s):
    """In a checkpoint's writing and elsewhere at a call, or anywhere at a time."""
    signum = rng.choice((KILL, KILL, TERM, signal.SIGINT, signal.SIGUSR1))
    if rng.random() < 0.4:
        return Timed(rng.uniform(0, whole_s), signum)
    place = rng.choice(PLACES)
    return Blow(place, rng.randint(1, 9 if place == STEP else 3), signum, after=rng.random() < 0.5)


def tell(name, hits, num_runs, differing, began_s):
    """A row for $SOAK_JSONL; `differing` are the runs that are not as the one nobody touched."""
    if "SOAK_JSONL" in os.environ:
        seconds = time.monotonic() - began_s
        row = {"name": name, "kills": dict(hits), "runs": num_runs, "differ": len(differing)}
        with Path(os.environ["SOAK_JSONL"]).open("a") as file:
            file.write(json.dumps(row | {"seconds": seconds}) + "\n")


@pytest.mark.parametrize("name", RUNS)
def test_random_kills_change_nothing(tmp_path, name):
    rng = random.Random(f"{SEED} {name}")
    whole = tmp_path / "whole"
    whole.mkdir()
    began_s = time.monotonic()
    assert go(whole, name) == 0
    whole_s = time.monotonic() - began_s
    expected = results(only_run(whole))
    hits: Counter[str] = Counter()
    differing = {}
    number = 0
    while hits.total() < KILLS_OF_EACH:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        for _ in range(100):
            blow = some_blow(rng, whole_s) if hits.total() < KILLS_OF_EACH else None
            code = go(folder, name, blow=blow)
            if code == 0:
                break
            assert blow is not None
            # before there is a run a signal does what it does to any process
            assert code in (130, 128 + blow.signum), (folder, blow)
            hits[signal.Signals(blow.signum).name] += 1
        assert code == 0, folder
        if found := list(differences(expected, results(only_run(folder)))):
            differing[folder] = found
    tell(name, hits, number, differing, began_s)
    print(f"\n{name}: {hits.total()} kills of {number} runs, {dict(hits)}")
    assert differing == {}


def test_random_kills_of_two_processes_change_nothing(tmp_path):
    """The launcher, or one of the ranks that it has started."""
    rng = random.Random(SEED)
    data = f"data.path={write_text(tmp_path)}"
    began_s = time.monotonic()
    job = Job(tmp_path / "whole", *DDP, data)
    job.wait_until_it_trains()
    starts_s = time.monotonic() - began_s
    assert job.end()[0] == 0
    trains_s = time.monotonic() - began_s - starts_s
    expected = results(job.run)
    hits: Counter[str] = Counter()
    differing = {}
    number = 0
    while hits.total() < KILLS_OF_TWO:
        number += 1
        folder = tmp_path / f"cut-{number}"
        for _ in range(20):
            job = Job(folder, *DDP, data, "--once")
            signum = rng.choice((KILL, TERM))
            if hits.total() < KILLS_OF_TWO:
                time.sleep(0.9 * starts_s + rng.uniform(0, 0.8) * trains_s)
            if hits.total() < KILLS_OF_TWO and job.process.poll() is None:
                target = rng.choice([job.process.pid, *map(int, job.running())])
                with contextlib.suppress(ProcessLookupError):
                    os.kill(target, signum)
            code, out, err = job.end()
            assert job.left() == []
            if code == 0:
                break
            hits[signal.Signals(signum).name] += 1
            # before there is a run a signal does what it does to any process
            assert code in (130, 1, 137, -9, 143, -15), (code, out, err)
        assert code == 0
        if found := list(differences(expected, results(job.run))):
            differing[folder] = found
        went_on = [entry["from_step"] for entry in read_record(job.run).get("resumed", [])]
        print(f"\ntwo processes: {hits.total()} kills by now, the last run went on from {went_on}")
    tell("two processes", hits, number, differing, began_s)
    assert differing == {}
