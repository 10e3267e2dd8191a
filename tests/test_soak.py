"""Many kills at random: whatever is hit, the run ends as one that nobody touched.

pytest -m slow tests/test_soak.py -s     says how many, and where the runs went on

The plans of kills follow from SEED alone; what a kill that comes after some time hits does not.
"""

import contextlib
import os
import random
import signal
import time
from collections import Counter

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
KILLS_OF_EACH = 14
KILL = signal.SIGKILL
PLACES = (STEP, STEP, STEP, VAL, SAMPLES, EPOCH_END, WRITE, FSYNC, SYNC_FOLDER)


def some_blow(rng, whole_s):
    """In a checkpoint's writing and elsewhere at a call, or anywhere at a time."""
    signum = rng.choice((KILL, KILL, TERM, signal.SIGINT, signal.SIGUSR1))
    if rng.random() < 0.4:
        return Timed(rng.uniform(0, whole_s), signum)
    place = rng.choice(PLACES)
    return Blow(place, rng.randint(1, 9 if place == STEP else 3), signum, after=rng.random() < 0.5)


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
        assert list(differences(expected, results(only_run(folder)))) == [], folder
    print(f"\n{name}: {hits.total()} kills of {number} runs, {dict(hits)}")


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
    hits = 0
    while hits < 8:
        folder = tmp_path / f"cut-{hits}"
        for _ in range(20):
            job = Job(folder, *DDP, data, "--once")
            if hits < 8:
                time.sleep(0.9 * starts_s + rng.uniform(0, 0.8) * trains_s)
            if hits < 8 and job.process.poll() is None:
                target = rng.choice([job.process.pid, *map(int, job.running())])
                with contextlib.suppress(ProcessLookupError):
                    os.kill(target, rng.choice((KILL, TERM)))
            code, out, err = job.end()
            assert job.left() == []
            if code == 0:
                break
            hits += 1
            # before there is a run a signal does what it does to any process
            assert code in (130, 1, 137, -9, 143, -15), (code, out, err)
        assert code == 0
        assert list(differences(expected, results(job.run))) == []
        went_on = [entry["from_step"] for entry in read_record(job.run).get("resumed", [])]
        print(f"\ntwo processes: {hits} kills by now, the last run went on from {went_on}")
