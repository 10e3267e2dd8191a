"""Who has a run directory: one process at a time, and nobody once that process is no more."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from charlab import claims
from charlab.claims import NAME, Claim, deciding, holder_of, this_process
from charlab.errors import CharlabError, Held, UsageError
from charlab.found import find_run
from charlab.resume import Asked, chosen
from charlab.run_names import run_name
from charlab.runs import Run

from .test_launch import CONFIG

ANYWHERE = {"resume": "auto", **CONFIG}


@pytest.fixture
def claim(tmp_path):
    claim = Claim(tmp_path)
    yield claim
    claim.release()


def write(run, silent_s=0.0, **changes):
    """A claim as another process would have written it, that long ago."""
    file = run / NAME
    file.write_text(json.dumps(this_process()._asdict() | changes))
    os.utime(file, (time.time() - silent_s,) * 2)


def other_process(code):
    """A Python process that runs code and then waits for the end of its input."""
    words = [
        sys.executable,
        "-c",
        f"import sys\n{code}\nprint('done', flush=True)\nsys.stdin.read()",
    ]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


# ------------------------------------------------------------------------------------ one at a time
def test_a_claim_is_held_until_it_is_released(tmp_path):
    assert holder_of(tmp_path) is None
    claim = Claim(tmp_path)
    assert holder_of(tmp_path) == this_process()
    with pytest.raises(Held) as caught:
        Claim(tmp_path)
    assert caught.value.what == f"{tmp_path} is held by {this_process()}"
    assert f"process {os.getpid()} on " in str(caught.value)
    assert caught.value.exit_code == 75
    claim.release()
    assert list(tmp_path.iterdir()) == []
    Claim(tmp_path).release()


def test_the_claim_of_a_process_falls_with_it(tmp_path):
    code = f"""
from pathlib import Path
from charlab.claims import Claim
Claim(Path({str(tmp_path)!r}))
"""
    process = other_process(code)
    assert process.stdout.readline() == "done\n"
    assert holder_of(tmp_path).pid == process.pid
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert holder_of(tmp_path) is None  # also while its parent has not heard of its end
    process.communicate()
    assert (tmp_path / NAME).exists()
    Claim(tmp_path).release()


def test_of_many_that_take_a_stale_claim_one_gets_it(tmp_path):
    write(tmp_path, pid=2**22 + 5, started="0")
    code = f"""
from pathlib import Path
from charlab.claims import Claim, deciding
from charlab.errors import Held
print("ready", flush=True)
sys.stdin.readline()
try:
    with deciding(Path({str(tmp_path.parent)!r})):
        Claim(Path({str(tmp_path)!r}))
    print("took it", flush=True)
except Held:
    print("held", flush=True)
"""
    takers = [other_process(code) for _ in range(4)]
    for taker in takers:
        assert taker.stdout.readline() == "ready\n"
    for taker in takers:
        taker.stdin.write("go\n")
        taker.stdin.flush()
    said = [taker.stdout.readline() for taker in takers]
    winner = takers[said.index("took it\n")]
    assert sorted(said) == ["held\n"] * 3 + ["took it\n"]
    assert holder_of(tmp_path).pid == winner.pid
    for taker in takers:
        taker.communicate()


def test_who_decides_is_alone(tmp_path):
    code = f"""
from pathlib import Path
from charlab.claims import deciding
deciding(Path({str(tmp_path)!r})).__enter__()
"""
    first = other_process(code)
    assert first.stdout.readline() == "done\n"
    second = other_process(code)
    time.sleep(0.3)
    assert second.poll() is None
    first.kill()  # the lock falls with it
    assert second.stdout.readline() == "done\n"
    for process in (first, second):
        process.communicate()


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UsageError, match="cannot make a run directory") as caught,
        deciding(tmp_path / "file" / "names"),
    ):
        pass
    assert caught.value.option == "paths.runs"


# ------------------------------------------------------------------------------------ dead or alive
def test_a_pid_that_is_used_again_is_another_process(tmp_path):
    write(tmp_path)
    assert holder_of(tmp_path) == this_process()
    write(tmp_path, started="12")
    assert holder_of(tmp_path) is None


def test_a_process_of_this_machine_needs_no_heartbeat(tmp_path):
    write(tmp_path, silent_s=3600)
    assert holder_of(tmp_path) == this_process()


@pytest.mark.parametrize(("silent_s", "lives"), [(0, True), (100, True), (130, False)])
def test_a_process_elsewhere_lives_as_long_as_it_shows_itself(tmp_path, silent_s, lives):
    write(tmp_path, silent_s, host="node7", place="another start of another machine", pid=1)
    holder = holder_of(tmp_path)
    assert (holder is not None) == lives
    if lives:
        with pytest.raises(Held, match="is held by process 1 on node7"):
            Claim(tmp_path)


def test_a_claim_shows_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT_S", 0.02)
    claim = Claim(tmp_path)
    os.utime(tmp_path / NAME, (0, 0))
    give_up_s = time.monotonic() + 20
    while (tmp_path / NAME).stat().st_mtime < 1e9 and time.monotonic() < give_up_s:
        time.sleep(0.01)
    assert time.time() - (tmp_path / NAME).stat().st_mtime < 60
    claim.release()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "null"])
def test_a_damaged_claim_holds_nothing(tmp_path, content):
    (tmp_path / NAME).write_text(content)
    assert holder_of(tmp_path) is None
    Claim(tmp_path).release()


def test_a_claim_that_was_taken_over_is_noticed_and_left_alone(tmp_path, claim):
    claim.check()
    write(tmp_path, host="node7", place="elsewhere", pid=1)
    with pytest.raises(Held, match="has been taken over by process 1 on node7"):
        claim.check()
    claim.release()
    assert holder_of(tmp_path).host == "node7"


# ------------------------------------------------------------------------- what becomes of a run
def test_the_state_of_a_run_is_that_of_its_process(tmp_path):
    run = Run.create(ANYWHERE, [], tmp_path)
    folder, name = run.path.parent, run_name(ANYWHERE)
    assert find_run(folder, name).state == "running"
    run.release()
    assert find_run(folder, name).state == "interrupted"
    again = Run.take(run.path)
    assert find_run(folder, name).state == "running"
    again.update(status="preempted")  # W&B may still be at it
    assert find_run(folder, name).state == "running"
    again.release()
    assert find_run(folder, name).state == "interrupted"
    for status in ("pruned", "failed", "finished"):
        again.update(status=status)
        assert find_run(folder, name).state == status


def test_a_run_directory_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    seen = []
    rename = claims.Path.rename

    def look(path, target):
        seen.append(
            (
                find_run(target.parent, run_name(ANYWHERE)),
                sorted(file.name for file in path.iterdir()),
            )
        )
        return rename(path, target)

    monkeypatch.setattr(claims.Path, "rename", look)
    Run.create(ANYWHERE, [], tmp_path).release()
    whole = ["checkpoints", "claim.json", "config.yaml", "overrides.txt", "run.json"]
    assert seen == [(None, whole)]


def made(folder, *statuses):
    """Runs of one configuration that ended so, one after the other; None for one that runs."""
    runs = [Run.create(ANYWHERE, [], folder) for _ in statuses]
    for run, status in zip(runs, statuses):
        if status is not None:
            run.update(status=status, error="why\nmore")
            run.release()
    return runs


def choice(folder, resume="auto", **asked):
    config = {**ANYWHERE, "resume": resume, "paths": {"runs": str(folder)}}
    found = chosen(config, Asked(**asked))
    return None if found is None else (found.path.name.rpartition("-")[2][-1:], found.state)


@pytest.mark.parametrize(
    ("statuses", "resume", "once", "number"),
    [
        ([], "auto", False, None),
        ([], "auto", True, None),
        (["finished"], "auto", False, None),
        (["preempted"], "auto", False, 0),
        (["running"], "auto", True, 0),
        (["preempted"], "never", False, None),
        (["preempted"], "must", False, 0),
        (["failed", "preempted", "finished", "running"], "auto", False, 3),
        (["failed", "preempted", "finished", "running"], "auto", True, 2),
        (["failed", "preempted"], "auto", True, 1),
        ([None], "auto", False, None),
        ([None, "preempted"], "auto", False, 1),
    ],
)
def test_which_run_goes_on(tmp_path, statuses, resume, once, number):
    runs = made(tmp_path, *statuses)
    config = {**ANYWHERE, "resume": resume, "paths": {"runs": str(tmp_path)}}
    found = chosen(config, Asked(once=once))
    assert (None if found is None else found.path) == (
        None if number is None else runs[number].path
    )
    for run in runs:
        run.release()


def test_a_run_that_must_go_on_and_is_not_there(tmp_path):
    made(tmp_path, "failed", "finished")
    with pytest.raises(UsageError, match="no interrupted run of this configuration") as caught:
        choice(tmp_path, "must")
    assert caught.value.option == "resume"
    assert ": failed, " in caught.value.got
    assert caught.value.got.endswith("-2: finished")


def test_once_leaves_a_run_to_the_process_that_has_it(tmp_path):
    (run,) = made(tmp_path, None)
    with pytest.raises(Held) as caught:
        choice(tmp_path, once=True)
    assert caught.value.what == f"{run.path} is held by {this_process()}"
    run.release()


@pytest.mark.parametrize("status", ["failed", "pruned"])
def test_once_does_not_try_again_what_failed(tmp_path, status):
    (run,) = made(tmp_path, status)
    with pytest.raises(CharlabError) as caught:
        choice(tmp_path, once=True)
    assert caught.value.exit_code == 1
    assert caught.value.what == f"{status} before: {run.path}: why"
    assert caught.value.hint == "--retry-failed, which tries it again"
    assert choice(tmp_path, once=True, retry_failed=True) is None


def test_a_named_run_goes_on_unless_it_is_finished_or_held(tmp_path):
    (run,) = made(tmp_path, None)
    with pytest.raises(Held, match="is held by process"):
        choice(tmp_path, run=run.path)
    run.release()
    for status in ("running", "preempted", "failed", "pruned"):
        run.update(status=status)
        assert chosen(ANYWHERE, Asked(run=run.path)).path == run.path
    run.update(status="finished")
    with pytest.raises(UsageError, match="has finished: nothing is left of its budget"):
        choice(tmp_path, run=run.path)
