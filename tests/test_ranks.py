"""A process among those of its run: what it shares with them, and its end when it is left alone."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from charlab.errors import UsageError
from charlab.exchange import Exchange, Failure
from charlab.ranks import Rank
from charlab.runs import Run, read_record
from charlab.world import World

from .test_launch import CONFIG


# ------------------------------------------------------------------------------------- what is told
def test_the_first_failure_is_the_one_that_is_kept(tmp_path):
    exchange = Exchange(tmp_path)
    assert exchange.failure is None
    assert exchange.tell_failure(Failure(2, "ValueError: a"))
    assert not exchange.tell_failure(Failure(1, "KeyError: b"))
    assert not exchange.tell_failure(Failure(0, "KeyError: b"))
    assert exchange.failure == Failure(2, "ValueError: a")


def test_of_ranks_with_the_same_error_rank_0_is_kept(tmp_path):
    exchange = Exchange(tmp_path)
    assert exchange.tell_failure(Failure(2, "ValueError: a"))
    assert not exchange.tell_failure(Failure(1, "ValueError: a"))
    assert exchange.tell_failure(Failure(0, "ValueError: a"))
    assert exchange.failure == Failure(0, "ValueError: a")
    assert not exchange.tell_failure(Failure(1, "ValueError: a"))
    assert exchange.tell_failure(Failure(0, "ValueError: a"))


def test_rank_0_hands_over_and_the_others_wait(tmp_path):
    exchange = Exchange(tmp_path)
    first, second = (Rank(World(rank, 2), exchange) for rank in range(2))
    assert first.wait_for_run() is None
    assert exchange.run is None
    first.hand_over(tmp_path / "run")
    assert second.wait_for_run() == tmp_path / "run"
    second.hand_over(tmp_path / "mine")
    assert exchange.run == tmp_path / "run"


def test_a_run_of_one_process_waits_for_nobody(tmp_path):
    rank = Rank.of_this_process()
    assert rank.world == World(0, 1)
    assert rank.wait_for_run() is None
    rank.hand_over(tmp_path)
    with pytest.raises(ValueError, match="mine"), rank.failing_once():
        raise ValueError("mine")


def test_a_shared_run_writes_nothing(tmp_path):
    mine = Run.create(CONFIG, [], tmp_path)
    before = {path: path.read_bytes() for path in mine.path.rglob("*") if path.is_file()}
    shared = Run.shared(mine.path)
    assert (shared.path, shared.checkpoints) == (mine.path, mine.checkpoints)
    shared.update(device="cpu")
    shared.add_metrics(1, 10, {"train/loss": 1.0})
    shared.add_samples([{"text": "a"}])
    shared.end("finished", scores={"test/bpc": 1.0})
    assert shared.record["scores"] == {"test/bpc": 1.0}
    assert {p: p.read_bytes() for p in mine.path.rglob("*") if p.is_file()} == before


# ---------------------------------------------------------------------------------- other launchers
@pytest.mark.parametrize("variables", [{"RANK": "1", "WORLD_SIZE": "2"}, {"LOCAL_RANK": "0"}])
def test_ranks_of_another_launcher_are_refused(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="another program starts the processes") as caught:
        Rank.of_this_process()
    assert caught.value.option == "trainer.devices"
    assert "without torchrun" in caught.value.hint


def test_a_single_rank_of_another_launcher_is_a_run_of_its_own(monkeypatch):
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert Rank.of_this_process().world == World(0, 1)


# --------------------------------------------------------------------------- the launcher is killed
def is_running(pid):
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("ignores", [False, True])
def test_ranks_end_when_their_launcher_is_killed(tmp_path, ignores):
    """By the signal that they would get from it, and by force where that does not help."""
    rank = f"""
import os, signal, time
from pathlib import Path
from charlab import ranks
from charlab.runs import Run
ranks.RANK_S = 0.3
if {ignores}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
rank = ranks.Rank.of_this_process()
shared = rank.wait_for_run()
rank.hand_over(shared or Run.create({CONFIG!r}, [], Path({str(tmp_path / "runs")!r})).path)
draft = Path({str(tmp_path)!r}, f"draft-{{rank.world.rank}}")
draft.write_text(f"{{os.getpid()}} {{os.environ['CHARLAB_EXCHANGE']}}")
draft.rename(draft.with_name(f"pid-{{rank.world.rank}}"))
time.sleep(60)
"""
    launcher = f"from charlab.launch import launch; launch([{sys.executable!r}, '-c', {rank!r}], 2)"
    process = subprocess.Popen([sys.executable, "-c", launcher])
    files = [tmp_path / "pid-0", tmp_path / "pid-1"]
    while not all(file.exists() for file in files):
        time.sleep(0.02)
    pids, (folder, _) = zip(*(file.read_text().split() for file in files))
    assert Path(folder).is_dir()
    process.kill()
    process.wait()
    give_up_s = time.monotonic() + 30
    while any(is_running(pid) for pid in pids) and time.monotonic() < give_up_s:
        time.sleep(0.02)
    assert not any(is_running(pid) for pid in pids)
    assert not Path(folder).exists()
    (file,) = tmp_path.glob("runs/*/*/run.json")
    record = read_record(file.parent)
    if ignores:
        assert record["status"] == "preempted"
        assert record["error"] == "the process that started the run was killed"
