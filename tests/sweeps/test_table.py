"""What a sweep shows: short names of jobs, a live table that fits, a report of all jobs."""

import io
import time

import pytest
from rich.console import Console

from charlab.sweeps.attempt import Attempt
from charlab.sweeps.ending import Outcomes
from charlab.sweeps.entry import Entry, Labels
from charlab.sweeps.jobs import Job, Outcome
from charlab.sweeps.report import list_jobs, show_report
from charlab.sweeps.table import LineView, LiveView, sweep_left_s

from .making import job_of


def job(*overrides):
    return Job(overrides, {})


def labels_of(*jobs):
    labels = Labels(jobs)
    return [labels.of(one) for one in jobs]


def test_jobs_are_told_apart_by_what_differs():
    jobs = [job("data=names", "seed=1", f"model.hidden_size={size}") for size in (8, 16)]
    assert labels_of(*jobs) == ["hidden_size=8", "hidden_size=16"]


def test_names_that_would_be_the_same_stay_whole():
    jobs = [
        job("callbacks.samples.seed=1", "seed=1", "optimizer.lr=1"),
        job("callbacks.samples.seed=2", "seed=2", "optimizer.lr=2"),
    ]
    assert labels_of(*jobs)[0] == "callbacks.samples.seed=1 seed=1 lr=1"


@pytest.mark.parametrize("jobs", [[job("model=gru", "seed=0")], [job("model=gru", "seed=0")] * 2])
def test_jobs_of_which_none_differs_show_all_they_have(jobs):
    assert labels_of(*jobs) == ["model=gru seed=0"] * len(jobs)


def test_what_all_jobs_will_have_is_left_out_from_the_first_one_on():
    shared = frozenset({"group=search", "model=gru"})
    first = Job(("group=search", "model=gru", "optimizer.lr=0.1"), {}, shared)
    assert labels_of(first) == ["lr=0.1"]
    second = Job(("group=search", "model=gru", "optimizer.lr=0.2"), {}, shared)
    assert labels_of(first, second) == ["lr=0.1", "lr=0.2"]
    only = Job(("model=gru", "seed=0"), {}, frozenset({"model=gru", "seed=0"}))
    assert labels_of(only) == ["model=gru seed=0"]


def test_a_job_without_overrides():
    assert labels_of(job()) == ["defaults"]
    assert labels_of(job("seed=0"), job("seed=1", "model=gru"))[0] == "seed=0"


def test_control_characters_do_not_reach_the_terminal():
    (label,) = labels_of(job("group=a\x1b[2J\nb"))
    assert label.isprintable()


def entry(folder, number, state, *, seconds=10.0, val=2.5, trainer=None):
    made = Entry(number, job_of(folder, number))
    made.state, made.seconds = state, seconds
    progress = made.progress
    progress.total, progress.step, progress.val, progress.best = 123_488, 20_000, val + 0.25, val
    if state in ("finished", "failed", "skipped"):
        record = {"scores": {"val/bpc": val, "test/bpc": val + 0.5}, "seconds": seconds}
        made.outcome = Outcome(made.job, state, 0, folder / "run", record)
    elif state == "running":
        made.attempt = object.__new__(Attempt)
        made.attempt.started_s = time.monotonic() - seconds
        progress._began = (0, time.monotonic() - seconds)
    return made


def outcomes_of(entries, signal=None):
    made = Outcomes(one.outcome for one in entries if one.outcome is not None)
    made.signal = signal
    return made


def screen(width=80, height=24):
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=True,
                   color_system=None, legacy_windows=False)  # fmt: skip


def lines_of(console):
    text = console.file.getvalue()
    console.file.truncate(0)
    console.file.seek(0)
    return text.replace("\x1b[?25l", "").replace("\r", "").splitlines()


def test_a_live_table_of_300_jobs_fits_80_columns_and_24_lines(tmp_path):
    states = ["finished"] * 90 + ["failed"] * 3 + ["running"] * 6 + ["elsewhere"] * 2
    states += ["waiting"] * 199
    entries = [entry(tmp_path, n, state) for n, state in enumerate(states, 1)]
    console = screen()
    view = LiveView(console)
    for one in entries:
        if one.outcome is not None:
            view._over.append(one)
    with view.shown():
        lines_of(console)
        view.show(entries, 300, 6)
        lines = lines_of(console)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "93 of 300 jobs over" in lines[0] and "left" in lines[0]
    assert lines[1] == "90 finished, 3 failed, 6 running, 2 elsewhere, 199 waiting"
    assert text.count(" running ") == 6
    assert "20,000/123,488" in text
    assert " 94 " in text and " 93 " in text and "102 " in text and "250 " not in text
    assert "not shown: " in lines[-1] and "196 waiting" in lines[-1]


@pytest.mark.parametrize(
    ("width", "head"),
    [
        (24, ["job", "state"]),
        (40, ["#", "job", "state", "val"]),
        (52, ["#", "job", "state", "step", "val"]),
        (80, ["#", "job", "state", "step", "val", "best", "left", "time"]),
    ],
)
def test_a_narrow_table_keeps_the_job(tmp_path, width, head):
    one = Entry(1, Job(("model.hidden_size=8",), job_of(tmp_path, 0).config))
    one.state, one.attempt = "running", entry(tmp_path, 1, "running").attempt
    one.progress.total, one.progress.step, one.progress.val = 123_488, 20_000, 2.5
    console = screen(width)
    view = LiveView(console)
    with view.shown():
        lines_of(console)
        view.show([one], 1, 1)
        lines = lines_of(console)
    assert max(map(len, lines)) <= width
    place = next(number for number, line in enumerate(lines) if line.split()[:2] == head[:2])
    assert lines[place].split() == head
    assert "hidden_s" in lines[place + 1] and "running" in lines[place + 1]


def test_time_left_of_a_sweep(tmp_path):
    done = [entry(tmp_path, n, "finished", seconds=100.0) for n in (1, 2)]
    running = [entry(tmp_path, 3, "running", seconds=20.0)]
    waiting = [entry(tmp_path, n, "waiting") for n in (4, 5, 6)]
    # of the one that runs: 103,488 steps at 1,000 a second, and then some
    left_s = (123_488 - 20_000) * 20 / 20_000
    assert sweep_left_s(done + running, None, 1) == pytest.approx(left_s, rel=0.01)
    total = sweep_left_s(done + running + waiting, None, 2)
    assert total == pytest.approx((left_s + 300) / 2, rel=0.01)
    assert sweep_left_s(done + running, 6, 2) == pytest.approx(total, rel=0.01)
    assert sweep_left_s(waiting, 3, 2) is None
    # before the first end, those that run say how long one takes
    assert sweep_left_s(running + waiting[:1], None, 1) == pytest.approx(2 * left_s + 20, rel=0.01)


def test_lines_where_there_is_no_terminal(tmp_path):
    console = Console(file=io.StringIO(), width=120)
    view = LineView(console)
    entries = [entry(tmp_path, 1, "skipped"), entry(tmp_path, 2, "skipped")]
    entries += [entry(tmp_path, 3, "running"), entry(tmp_path, 4, "finished")]
    for one in entries:
        view.tell(one)
    view.show(entries, 4, 1)
    lines = lines_of(console)
    assert lines[0] == "2 finished before"
    assert lines[1].startswith("[3/4] started run=") and lines[1].endswith("seed=3")
    assert lines[2].startswith("[4/4] finished run=")
    assert lines[2].endswith("seed=4  val 2.500  test 3.000  0:00:10")
    view.show(entries, 4, 1)
    assert lines_of(console) == []


def test_the_report_has_all_scores_and_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setattr("charlab.sweeps.report.callable_name", lambda name: name)
    monkeypatch.setattr("sys.argv", ["train.py", "-m", "seed=1,2", "group=a b"])
    console = Console(file=io.StringIO(), width=80)
    entries = [entry(tmp_path, 1, "finished", val=2.0), entry(tmp_path, 2, "skipped", val=2.25)]
    show_report(console, entries, outcomes_of(entries))
    text = "\n".join(lines_of(console))
    assert "2.000 2.500 0:00:10" in text and "2.250 2.750" in text
    assert f"charlab sample {tmp_path / 'run'}" in text
    entries.append(entry(tmp_path, 3, "waiting"))
    show_report(console, entries, outcomes_of(entries, signal=2))
    assert "\n  python train.py -m seed=1,2 'group=a b'\n" in "\n".join([*lines_of(console), ""])
    entries[2] = entry(tmp_path, 3, "failed")
    show_report(console, entries, outcomes_of(entries))
    assert "python train.py -m seed=1,2 'group=a b' --retry-failed" in "\n".join(lines_of(console))


def test_the_list_of_jobs_says_what_there_is(tmp_path):
    jobs = [job_of(tmp_path, seed) for seed in (0, 1)]
    run = jobs[1].folder / jobs[1].name
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"status": "finished"}')
    console = Console(file=io.StringIO(), width=200)
    list_jobs(console, jobs)
    first, second, end = lines_of(console)[1:]
    assert first.split()[-2:] == ["new", jobs[0].name]
    assert second.split()[-2:] == ["finished", jobs[1].name]
    assert end == f"2 jobs; runs in {tmp_path / 'g'}"
