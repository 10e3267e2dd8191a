"""How far a job is, from files that grow while they are read."""

import json
import time

import pytest

from charlab.sweeps.progress import Progress

from .making import job_of


@pytest.fixture
def job(tmp_path):
    return job_of(tmp_path, 0)


def make_run(job, status="finished", **entries):
    run = job.folder / job.name
    run.mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text(json.dumps({"status": status, **entries}))
    return run


def add(run, text):
    with (run / "metrics.jsonl").open("a") as file:
        file.write(text)


def row(step, **metrics):
    return json.dumps({"step": step, **metrics}) + "\n"


def test_rows_come_once_and_whole(job):
    progress = Progress(job)
    assert list(progress.read()) == []
    run = make_run(job, total_steps=40)
    add(run, row(10) + row(20, **{"val/bpc": 3.5}) + '{"step": 3')
    assert [r["step"] for r in progress.read(has_ended=True)] == [10, 20]
    assert (progress.step, progress.total, progress.val, progress.best) == (20, 40, 3.5, 3.5)
    add(run, "0}\n" + row(30, **{"val/bpc": 3.75}))
    assert [r["step"] for r in progress.read()] == [30, 30]
    assert (progress.val, progress.best) == (3.75, 3.5)
    assert list(progress.read()) == []


def test_a_run_that_goes_on_drops_rows(job):
    progress = Progress(job)
    run = make_run(job, total_steps=40)
    add(run, row(10) + row(20) + row(30))
    assert len(list(progress.read())) == 3
    (run / "metrics.jsonl").write_text(row(10))
    assert list(progress.read()) == []
    add(run, row(20))
    assert [r["step"] for r in progress.read()] == [20]


def test_what_is_no_row_is_passed_over(job):
    progress = Progress(job)
    run = make_run(job)
    add(run, "{\n[1]\nnull\n" + json.dumps({"step": None}) + "\n" + row(5, **{"val/bpc": None}))
    assert [r["step"] for r in progress.read()] == [5]
    assert progress.val is None


@pytest.mark.parametrize("status", ["failed", "preempted"])
def test_the_run_of_an_attempt_before_is_not_that_of_this_one(job, status):
    add(make_run(job, status), row(10))
    progress = Progress(job)
    assert list(progress.read(has_ended=True)) == []


def test_time_left_is_by_the_speed_of_this_process(job):
    progress = Progress(job)
    run = make_run(job, total_steps=100)
    add(run, row(40))  # rows of processes before
    list(progress.read())
    assert progress.left_s is None
    began_s = time.monotonic()
    time.sleep(0.2)
    add(run, row(50))
    list(progress.read())
    seconds = time.monotonic() - began_s
    assert progress.left_s == pytest.approx(5 * seconds, rel=0.2)
