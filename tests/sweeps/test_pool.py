"""A sweep on this machine: each job once, in its own process, whatever fails or is killed."""

import io
import json
import os
import signal
import time
from pathlib import Path

import pytest
from rich.console import Console

from charlab.errors import UsageError
from charlab.found import Found, find_run
from charlab.sweeps.definition.files import Metric
from charlab.sweeps.definition.hyperband import Hyperband
from charlab.sweeps.ending import ending_of
from charlab.sweeps.jobs import Listed, Source
from charlab.sweeps.pool import LocalOptions, run_sweep
from charlab.sweeps.search.grid import WatchedGrid
from charlab.sweeps.search.turns import InTurns

from .making import COMMAND, job_of, jobs_of, start_sweep, starts_of


def sweep(source, **options):
    """(outcomes, what was shown) of a sweep in this process."""
    console = Console(file=io.StringIO(), width=120)
    outcomes = run_sweep(source, COMMAND, LocalOptions(**options), console, 5.0)
    return outcomes, console.file.getvalue()


def endings(outcomes):
    return [outcome.ending for outcome in outcomes]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for(condition, seconds=30.0):
    give_up_s = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < give_up_s
        time.sleep(0.05)
    return found


def test_a_job_that_fails_or_is_killed_does_not_stop_the_rest(tmp_path):
    jobs = jobs_of(tmp_path, [{"end": "fail"}, {"val": 2.25}, {"end": "kill"}, {}])
    outcomes, shown = sweep(Listed(jobs), workers=2)
    assert endings(outcomes) == ["failed", "finished", "interrupted", "finished"]
    assert [outcome.exit_code for outcome in outcomes] == [3, 0, 137, 0]
    assert [outcome.job for outcome in outcomes] == jobs
    assert outcomes[1].run == jobs[1].folder / jobs[1].name
    assert outcomes[1].record["scores"] == {"val/bpc": 2.25, "test/bpc": 2.75}
    assert outcomes.exit_code == 1
    assert [len(starts_of(job)) for job in jobs] == [1, 1, 1, 1]
    # the end of the log of what failed, and where all of it is
    assert "job 1 failed: TrainingDiverged: it diverged" in shown
    assert "  it diverged\n  all of it: " in shown
    assert "a line before the end, 39\n" in shown and "before the end, 3\n" not in shown
    log = jobs[0].folder / "logs" / f"{jobs[0].name}.log"
    assert log.read_text().splitlines()[-1] == "it diverged"
    assert str(log) in shown
    assert "job 3 interrupted: exit code 137" in shown


def test_a_sweep_again_does_what_is_left(tmp_path):
    jobs = jobs_of(tmp_path, [{}, {"end": "fail"}, {"steps": 4, "end": "kill"}])
    sweep(Listed(jobs))
    outcomes, shown = sweep(Listed(jobs))
    assert endings(outcomes) == ["skipped", "failed", "interrupted"]
    assert outcomes[1].record["status"] == "failed"
    assert [len(starts_of(job)) for job in jobs] == [1, 1, 2]
    assert starts_of(jobs[2])[1]["step"] == 3  # it went on where it was killed
    assert "job 2 failed before this sweep" in shown
    outcomes, _ = sweep(Listed(jobs), retry_failed=True)
    assert [len(starts_of(job)) for job in jobs] == [1, 2, 3]
    assert jobs[1].find().path.name == f"{jobs[1].name}-2"


def test_no_more_jobs_at_once_than_workers(tmp_path):
    running = []

    class Watching(Source):
        num_jobs = None

        def __init__(self):
            self.left = jobs_of(tmp_path, [{"steps": 2, "pause_s": 0.1}] * 4)
            self.num_running = 0

        def take(self):
            if not self.left:
                return None
            self.num_running += 1
            running.append(self.num_running)
            return self.left.pop(0)

        def ended(self, outcome):
            self.num_running -= 1

    outcomes, _ = sweep(Watching(), workers=2)
    assert endings(outcomes) == ["finished"] * 4
    assert len(running) == 4 and max(running) == 2


def test_a_source_that_waits_for_scores(tmp_path):
    """Its next job depends on how the one before ended."""

    class Learning(Source):
        num_jobs = None
        seen = []

        def take(self):
            waits = len(self.seen) < len(self.taken)
            if waits or len(self.taken) == 3:
                return None
            self.taken.append(job_of(tmp_path, len(self.taken), val=3.0 - len(self.taken)))
            return self.taken[-1]

        def ended(self, outcome):
            self.seen.append(outcome.record["scores"]["val/bpc"])

    source = Learning()
    source.taken = []
    outcomes, _ = sweep(source, workers=2)
    assert source.seen == [3.0, 2.0, 1.0]
    assert endings(outcomes) == ["finished"] * 3


def test_a_job_that_its_source_gives_up_is_pruned(tmp_path):
    rows = []

    class Pruning(Source):
        num_jobs = 2

        def __init__(self):
            self.left = jobs_of(tmp_path, [{"steps": 200, "pause_s": 0.05}, {"steps": 3}])

        def take(self):
            return self.left.pop(0) if self.left else None

        def look(self, job, row):
            rows.append((job.config["seed"], row["step"]))
            return row["step"] < 5

        def ended(self, outcome):
            pass

    outcomes, _ = sweep(Pruning())
    assert endings(outcomes) == ["pruned", "finished"]
    assert outcomes[0].record["status"] == "pruned"
    assert outcomes.exit_code == 0
    first = [step for seed, step in rows if seed == 0]
    assert first == list(range(1, len(first) + 1)) and len(first) < 30  # in order, none twice
    assert [step for seed, step in rows if seed == 1] == [1, 2, 3]
    assert find_run(outcomes[0].job.folder, outcomes[0].job.name).state == "pruned"
    # again: not run, and told apart from a failure
    outcomes, _ = sweep(Listed([outcomes[0].job]))
    assert endings(outcomes) == ["pruned"]


def test_a_pruned_run_of_a_grid_has_not_come_to_its_end(tmp_path):
    (job,) = jobs_of(tmp_path, [{}])
    run = job.folder / job.name
    run.mkdir(parents=True)
    record = {"status": "pruned", "started": "2026-01-01T00:00:00+00:00", "ended": None}
    (run / "run.json").write_text(json.dumps(record))
    outcomes, shown = sweep(Listed([job]))
    assert (endings(outcomes), outcomes.exit_code) == (["pruned"], 1)
    assert "1 pruned by a search before; with --retry-failed they run" in shown
    outcomes.takes_pruned = True
    assert outcomes.exit_code == 0
    outcomes, shown = sweep(Listed([job]), retry_failed=True)
    assert (endings(outcomes), outcomes.exit_code) == (["finished"], 0)
    assert "pruned by" not in shown


def test_a_run_that_is_finished_is_so_whatever_its_process_says(tmp_path):
    outcomes, _ = sweep(Listed(jobs_of(tmp_path, [{"end": "late"}])))
    assert (endings(outcomes), outcomes.exit_code) == (["finished"], 0)


def test_a_job_that_crashes_has_failed_and_is_not_tried_for_ever(tmp_path):
    (job,) = jobs_of(tmp_path, [{"end": "crash"}])
    outcomes, shown = sweep(Listed([job]))
    assert (endings(outcomes), outcomes[0].exit_code) == (["failed"], 139)
    assert outcomes[0].record["error"] == "killed by SIGSEGV"
    assert "job 1 failed: killed by SIGSEGV" in shown
    assert endings(sweep(Listed([job]))[0]) == ["failed"]
    assert len(starts_of(job)) == 1


def test_what_failed_before_an_attempt_says_nothing_of_it(tmp_path):
    found = Found(tmp_path / "a", "failed", {})
    assert ending_of(130, found, tmp_path / "a") == "interrupted"
    assert ending_of(130, found, None) == ending_of(1, found, tmp_path / "a") == "failed"
    assert ending_of(137, None, None) == "interrupted"
    assert ending_of(134, None, None) == "failed"


def test_jobs_of_one_name_in_two_folders_are_two(tmp_path):
    jobs = [job_of(tmp_path / name, 0, val=val) for name, val in (("a", 2.0), ("b", 3.0))]
    assert jobs[0].name == jobs[1].name and jobs[0].key != jobs[1].key
    hyperband = Hyperband((100,), 3, True)
    for source in (
        InTurns([Listed([job]) for job in jobs]),
        WatchedGrid(jobs, Metric(), hyperband),
    ):
        outcomes, _ = sweep(source)
        scores = [outcome.record["scores"]["val/bpc"] for outcome in outcomes]
        assert scores == [2.0, 3.0]
    assert sorted(source._values) == sorted(job.key for job in jobs)


def test_two_sweeps_on_one_folder_run_nothing_twice(tmp_path):
    options = [{"steps": 5, "pause_s": 0.03}] * 4
    sweeps = [start_sweep(tmp_path, options, workers=2) for _ in range(2)]
    shown = [process.communicate(timeout=60)[0] for process in sweeps]
    assert [process.returncode for process in sweeps] == [0, 0], shown
    jobs = jobs_of(tmp_path, options)
    assert [len(starts_of(job)) for job in jobs] == [1] * 4
    assert all(job.find().state == "finished" for job in jobs)
    for text in shown:
        assert text.count("2.500 3.000") == 4  # each knows all scores


@pytest.mark.slow
def test_a_job_that_runs_elsewhere_is_taken_over_when_its_process_dies(tmp_path):
    options = [{"steps": 40, "pause_s": 0.1}]
    (job,) = jobs_of(tmp_path, options)
    first = start_sweep(tmp_path, options)
    pid = wait_for(lambda: starts_of(job))[0]["pid"]
    second = start_sweep(tmp_path, options)
    while "elsewhere" not in second.stdout.readline():
        pass
    os.kill(pid, signal.SIGKILL)
    second.communicate(timeout=60)
    first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (1, 0)
    starts = starts_of(job)
    assert len(starts) == 2 and starts[1]["step"] > 0


@pytest.mark.parametrize(
    "signum",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_a_signal_lets_jobs_save_and_starts_no_other(tmp_path, signum):
    options = [{"steps": 400, "pause_s": 0.05}] * 3
    process = start_sweep(tmp_path, options, workers=2)
    jobs = jobs_of(tmp_path, options)
    wait_for(lambda: starts_of(jobs[0]) and starts_of(jobs[1]))
    process.send_signal(signum)
    shown, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signum
    assert [job.find().record["status"] for job in jobs[:2]] == ["preempted"] * 2
    assert jobs[2].find() is None
    assert not any(is_alive(start["pid"]) for job in jobs for start in starts_of(job))
    assert "waiting for 2 to save" in shown
    assert "goes on where this one stopped" in shown


@pytest.mark.slow
def test_a_second_interrupt_kills(tmp_path):
    options = [{"steps": 400, "pause_s": 0.1, "deaf": "yes"}]
    process = start_sweep(tmp_path, options, grace_s=60.0)
    (job,) = jobs_of(tmp_path, options)
    pid = wait_for(lambda: starts_of(job))[0]["pid"]
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    time.sleep(1.0)
    assert process.poll() is None and is_alive(pid)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130
    assert not is_alive(pid)


def test_jobs_that_do_not_end_are_killed_after_the_grace(tmp_path):
    options = [{"steps": 400, "pause_s": 0.1, "deaf": "yes"}]
    process = start_sweep(tmp_path, options, grace_s=0.5)
    (job,) = jobs_of(tmp_path, options)
    pid = wait_for(lambda: starts_of(job))[0]["pid"]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 143
    assert not is_alive(pid)


@pytest.mark.slow
def test_jobs_save_and_end_when_the_sweep_is_killed_and_go_on_after_that(tmp_path):
    options = [{"steps": 30, "pause_s": 0.1}, {"steps": 2}]
    process = start_sweep(tmp_path, options)
    jobs = jobs_of(tmp_path, options)
    pid = wait_for(lambda: starts_of(jobs[0]))[0]["pid"]
    time.sleep(0.5)
    process.kill()
    process.communicate()
    wait_for(lambda: not is_alive(pid), 10)
    assert jobs[0].find().record["status"] == "preempted"
    process = start_sweep(tmp_path, options)
    shown, _ = process.communicate(timeout=30)
    assert process.returncode == 0, shown
    assert [len(starts_of(job)) for job in jobs] == [2, 1]
    assert starts_of(jobs[0])[1]["step"] > 0


def test_an_error_of_the_sweep_itself_ends_its_jobs(tmp_path):
    class Broken(Source):
        num_jobs = 1

        def take(self):
            return job

        def look(self, job, row):
            raise RuntimeError("the study is gone")

        def ended(self, outcome):
            pass

    (job,) = jobs_of(tmp_path, [{"steps": 400, "pause_s": 0.05}])
    with pytest.raises(RuntimeError, match="the study is gone"):
        sweep(Broken())
    assert not is_alive(starts_of(job)[0]["pid"])


def test_logs_that_cannot_be_written(tmp_path):
    (job,) = jobs_of(tmp_path, [{}])
    job.folder.mkdir()
    (job.folder / "logs").write_text("in the way")
    with pytest.raises(UsageError, match="a job of the sweep cannot be started"):
        sweep(Listed([job]))
