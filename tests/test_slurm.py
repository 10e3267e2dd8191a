"""Sweeps on a cluster: what is submitted, what is not, and what signals do to it."""

import functools
import io
import json
import os
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from charlab.claims import Claim
from charlab.errors import Interrupted, UsageError
from charlab.ranks import Rank
from charlab.sweeps.jobs import Job
from charlab.sweeps.slurm import queue, watch
from charlab.sweeps.slurm.task import Task
from charlab.sweeps.slurm.watch import SlurmOptions, run_slurm

from .slurm_stand_in import SlurmStandIn

SCRIPT = Path(__file__).with_name("job_stand_in.py")
COMMAND = [sys.executable, "-I", "-S", str(SCRIPT)]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    stand_in = SlurmStandIn(tmp_path / "cluster")
    monkeypatch.setenv("PATH", f"{stand_in.path}:/usr/bin:/bin")
    yield stand_in
    stand_in.end()


def make_job(tmp_path, seed=0, devices=1, accelerator="cpu", **options):
    config = {
        "seed": seed,
        "group": "g",
        "model": {"cell": "gru", "num_layers": 1, "hidden_size": 8, "match_params": None},
        "trainer": {
            "devices": devices,
            "accelerator": accelerator,
            "max_steps": 30,
            "max_epochs": None,
        },
        "paths": {"runs": str(tmp_path / "runs")},
    }
    job = Job((), config)
    words = {"folder": job.folder, "name": job.name} | options
    return Job(tuple(f"{name}={value}" for name, value in words.items()), config)


def sweep(jobs, *, retry_failed=False, poll_s=0.05, console=None, **options):
    return run_slurm(
        jobs,
        COMMAND,
        SlurmOptions(**{"cpus_per_task": 1} | options),
        console or Console(quiet=True),
        retry_failed,
        poll_s,
    )


def starts(job):
    """[seconds done, restarts of the SLURM job] at each start of the run."""
    file = job.folder / job.name / "starts"
    return [[float(word) for word in line.split()] for line in file.read_text().splitlines()]


def endings(outcomes):
    return [(outcome.ending, outcome.exit_code) for outcome in outcomes]


def submitted(cluster):
    return sorted(cluster.folder.glob("*.sh"))


def options_of(script):
    found = re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", script.read_text(), re.MULTILINE)
    return dict(found)


# -------------------------------------------------------------------------------- what is submitted
def test_each_job_runs_once_and_says_how_it_ended(tmp_path, cluster):
    jobs = [make_job(tmp_path, seed) for seed in (0, 1)]
    jobs.append(make_job(tmp_path, 2, exit=3))
    outcomes = sweep(jobs)
    assert endings(outcomes) == [("finished", 0), ("finished", 0), ("failed", 3)]
    assert [outcome.run for outcome in outcomes] == [job.folder / job.name for job in jobs]
    assert outcomes[0].record["status"] == "finished"
    assert [starts(job) for job in jobs] == [[[0.0, 0.0]]] * 3
    assert len(submitted(cluster)) == 1, "one array"
    for number in range(len(jobs)):  # how a job ended is known before its process is gone
        cluster.wait_for(f"1_{number}", None)
    assert cluster.queue == {}


def test_what_is_over_is_not_submitted_again(tmp_path, cluster):
    jobs = [make_job(tmp_path, 0), make_job(tmp_path, 1, exit=1)]
    assert endings(sweep(jobs)) == [("finished", 0), ("failed", 1)]
    assert endings(sweep(jobs)) == [("skipped", 0), ("failed", 1)]
    assert len(submitted(cluster)) == 1
    assert endings(sweep(jobs, retry_failed=True)) == [("skipped", 0), ("finished", 0)]
    assert [len(starts(job)) for job in jobs] == [1, 2]


def test_jobs_of_one_name_in_two_folders_are_two(tmp_path, cluster):
    jobs = [make_job(tmp_path / name) for name in ("a", "b")]
    outcomes = sweep(jobs)
    assert endings(outcomes) == [("finished", 0)] * 2
    assert [outcome.run for outcome in outcomes] == [job.folder / job.name for job in jobs]


def test_a_run_that_a_search_pruned_is_told(tmp_path, cluster):
    job = make_job(tmp_path)
    run = job.folder / job.name
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"status": "pruned"}))
    console = Console(record=True, width=200, file=io.StringIO())
    outcomes = sweep([job], console=console)
    assert (endings(outcomes), outcomes.exit_code) == ([("pruned", 1)], 1)
    shown = console.export_text()
    assert shown.startswith("jobs: 1 pruned before\n")
    assert "with --retry-failed they run to their end" in shown


@pytest.mark.parametrize(("text", "code"), [("", None), ("\n", None), ("3\n", 3)])
def test_an_exit_code_that_is_being_written_is_none_yet(tmp_path, text, code):
    queued = queue.Queued(make_job(tmp_path), "7_0", tmp_path)
    assert queued.exit_code is None
    (tmp_path / "7_0.exit").write_text(text)
    assert queued.exit_code == code


def test_a_job_asks_for_what_it_needs(tmp_path, cluster):
    jobs = [make_job(tmp_path, 0, 4, "gpu"), make_job(tmp_path, 1, 1, "auto"), make_job(tmp_path)]
    sweep(
        jobs,
        cpus_per_task=None,
        partition="long",
        time_min=90,
        mem_gb=1.5,
        array_parallelism=2,
        setup=("export GREETING=hello",),
        sbatch=("--constraint=a100", "--exclusive"),
    )
    four, one, cpu = (options_of(script) for script in submitted(cluster))
    assert [options.get("gpus-per-node") for options in (four, one, cpu)] == ["4", "1", None]
    assert [options["cpus-per-task"] for options in (four, one, cpu)] == ["16", "4", "4"]
    for options in (four, one, cpu):
        assert options["ntasks-per-node"] == options["nodes"] == "1"
        assert (options["partition"], options["time"], options["mem"]) == ("long", "90", "1536M")
        assert (options["constraint"], options["signal"]) == ("a100", "USR2@120")
        assert {"requeue", "exclusive"} <= options.keys()
    text = submitted(cluster)[0].read_text()
    assert text.index("export GREETING=hello") < text.index("srun") < text.index("=16 ")


@pytest.mark.slow
def test_no_more_jobs_run_at_once_than_allowed(tmp_path, cluster):
    sweep([make_job(tmp_path, seed) for seed in range(3)], array_parallelism=2)
    assert options_of(submitted(cluster)[0])["array"] == "0-2%2"


def test_more_jobs_than_an_array_takes_are_several(tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(queue, "MAX_ARRAY", 2)
    jobs = [make_job(tmp_path, seed) for seed in range(3)]
    assert endings(sweep(jobs)) == [("finished", 0)] * 3
    assert len(submitted(cluster)) == 2


def test_a_job_that_never_starts_its_run_has_failed(tmp_path, cluster):
    job = make_job(tmp_path)
    broken = Job(("exit=0",), job.config)  # no folder: the script ends in a KeyError
    (outcome,) = sweep([broken])
    assert (outcome.ending, outcome.exit_code, outcome.run) == ("failed", 1, None)
    (log,) = (job.folder / "logs" / "slurm").glob("*_log.out")
    assert "KeyError: 'folder'" in log.read_text()


# ----------------------------------------------------------------------------------------- requeue
def when_it_runs(cluster, job, act, monkeypatch):
    """Calls `act` once, from the loop of run_slurm, as soon as the job has started."""
    real, left = watch.states, [act]

    def states():
        if left and (job.folder / job.name / "starts").exists():
            left.pop()()
        return real()

    monkeypatch.setattr(watch, "states", states)


def test_a_warned_job_goes_back_into_the_queue_and_goes_on(tmp_path, cluster, monkeypatch):
    job = make_job(tmp_path, seconds=1.5)
    warn = functools.partial(cluster.call, "scancel", "--signal=USR2", "1")
    when_it_runs(cluster, job, warn, monkeypatch)
    assert endings(sweep([job])) == [("finished", 0)]
    (first, restarts), (second, restarts_then) = starts(job)
    assert (first, restarts, restarts_then) == (0, 0, 1)
    assert 0 < second < 1.5
    (log,) = (job.folder / "logs" / "slurm").glob("*_log.out")
    assert log.read_text().count("Starting with JobEnvironment") == 2, "both starts are in it"
    assert "requeue 1 of 20" in log.read_text()


@pytest.mark.slow
def test_it_goes_back_only_so_often(tmp_path, cluster, monkeypatch):
    job = make_job(tmp_path, seconds=60)
    warn = functools.partial(cluster.call, "scancel", "--signal=USR2", "1")
    when_it_runs(cluster, job, warn, monkeypatch)
    assert endings(sweep([job], max_requeues=0)) == [("interrupted", 130)]
    assert len(starts(job)) == 1
    assert "no-requeue" in options_of(submitted(cluster)[0])


def test_a_cancelled_job_stays_out_and_a_new_sweep_goes_on_with_it(tmp_path, cluster, monkeypatch):
    job = make_job(tmp_path, seconds=1.5)
    when_it_runs(cluster, job, functools.partial(cluster.call, "scancel", "1"), monkeypatch)
    assert endings(sweep([job])) == [("interrupted", 130)]
    assert endings(sweep([job])) == [("finished", 0)]
    assert starts(job)[1][0] > 0


@pytest.mark.slow
def test_a_job_cancelled_before_it_starts_has_not_failed(tmp_path, cluster, monkeypatch):
    jobs = [make_job(tmp_path, seed, seconds=0.5) for seed in (0, 1)]
    cancel = functools.partial(cluster.call, "scancel", "1_1")
    when_it_runs(cluster, jobs[0], cancel, monkeypatch)
    assert endings(sweep(jobs, array_parallelism=1)) == [("finished", 0), ("interrupted", 130)]


# -------------------------------------------------------------------------------------- who watches
@pytest.mark.slow
def test_ctrl_c_leaves_jobs_in_the_queue_and_the_same_call_finds_them(
    tmp_path, cluster, monkeypatch
):
    job = make_job(tmp_path, seconds=2)

    def interrupt():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        when_it_runs(cluster, job, interrupt, patch)
        with pytest.raises(Interrupted, match="SLURM goes on with: 1") as caught:
            sweep([job])
    assert caught.value.hint.startswith("scancel 1 ends them")
    assert cluster.queue == {"1": "RUNNING"}
    assert endings(sweep([job])) == [("finished", 0)]
    assert len(starts(job)) == len(submitted(cluster)) == 1


def test_a_queue_that_does_not_answer_ends_nothing(tmp_path, cluster, monkeypatch):
    jobs = [make_job(tmp_path, seed, seconds=1) for seed in (0, 1)]
    console = Console(record=True, width=200, file=io.StringIO())
    when_it_runs(cluster, jobs[0], cluster.stop_answering, monkeypatch)
    assert endings(sweep(jobs, console=console)) == [("finished", 0)] * 2
    assert "squeue does not answer" in console.export_text()


def test_a_run_that_another_process_holds_is_waited_for(tmp_path, cluster, monkeypatch):
    """It dies while it is waited for, so the job is submitted again."""
    monkeypatch.setattr(queue, "Task", functools.partial(Task, held_s=0.1))
    job = make_job(tmp_path)
    run = job.folder / job.name
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"status": "running"}))
    (run / "held").touch()
    claim = Claim(run)
    console = Console(record=True, width=200, file=io.StringIO())
    real = watch.states

    def states():
        if "elsewhere" in console.export_text(clear=False):
            claim.release()
            (run / "held").unlink(missing_ok=True)
        return real()

    monkeypatch.setattr(watch, "states", states)
    assert endings(sweep([job], console=console)) == [("finished", 0)]
    assert len(submitted(cluster)) == 2
    assert len(starts(job)) == 1


# ----------------------------------------------------------------------------------------- refusals
def test_without_submitit_it_says_how_to_get_it(tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(queue.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="needs submitit") as caught:
        sweep([make_job(tmp_path)])
    assert "'.[slurm]'" in caught.value.hint


def test_without_slurm_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="needs a SLURM cluster") as caught:
        sweep([make_job(tmp_path)])
    assert caught.value.got == "no sbatch, squeue, scontrol, srun"


def test_without_an_answer_nothing_is_submitted(tmp_path, cluster):
    cluster.stop_answering()
    with pytest.raises(UsageError, match="SLURM does not answer"):
        sweep([make_job(tmp_path)])
    assert submitted(cluster) == []


def test_what_slurm_does_not_take_is_said_in_its_words(tmp_path, cluster):
    with pytest.raises(UsageError, match="SLURM does not take the jobs") as caught:
        sweep([make_job(tmp_path)], partition="nowhere")
    assert caught.value.got == "sbatch: error: invalid partition specified: nowhere"


@pytest.mark.parametrize("option", ["-C a100", "constraint=a100", "--constraint a100"])
def test_options_of_sbatch_are_whole_words(tmp_path, cluster, option):
    with pytest.raises(UsageError, match="is not an option of sbatch") as caught:
        sweep([make_job(tmp_path)], sbatch=(option,))
    assert caught.value.option == "hydra.launcher.sbatch"


def test_several_tasks_are_not_several_runs_by_mistake(monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    monkeypatch.setenv("SLURM_TASK_PID", "1")
    Rank.of_this_process()  # started by what srun started: an agent, say
    monkeypatch.setenv("SLURM_TASK_PID", str(os.getpid()))
    with pytest.raises(UsageError, match="srun starts this command 2 times"):
        Rank.of_this_process()
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    Rank.of_this_process()
