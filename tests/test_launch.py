"""The launcher of several processes, with small scripts in place of training."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from charlab.launch import launch, this_command
from charlab.runs import Run, mark_ended, read_record

# Each rank does what the argument of its number says.
STUB = """
import os, signal, sys, time
from pathlib import Path
rank = int(os.environ["RANK"])
action, _, value = sys.argv[1 + rank].partition("=")
ignores = Path(os.environ["CHARLAB_EXCHANGE"], "ignores")
print(f"rank {rank} starts", flush=True)
if action == "ignore":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ignores.touch()
if action in ("sleep", "ignore"):
    time.sleep(60)
if action == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
while action == "after" and not ignores.exists():
    time.sleep(0.01)
print(f"rank {rank} ends", file=sys.stderr, flush=True)
sys.exit(int(value or 0))
"""

CONFIG = {
    "seed": 0,
    "group": "names",
    "model": {"cell": "gru", "num_layers": 1, "hidden_size": 8, "match_params": None},
    "trainer": {"max_steps": 30, "max_epochs": None},
}

# As train.py is a rank: rank 0 makes the run directory, then each does what its argument says.
RANK = f"""
import os, signal, sys, time
from pathlib import Path
from charlab.errors import UsageError
from charlab.ranks import Rank
from charlab.runs import Run

rank = Rank.of_this_process()
action, _, word = sys.argv[2 + rank.world.rank].partition("=")
if action == "ignore":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with rank.failing_once():
    shared = rank.wait_for_run()
    run = Run.shared(shared) if shared else Run.create({CONFIG!r}, [], Path(sys.argv[1]))
    rank.hand_over(run.path)
    print(f"rank {{rank.world.rank}} of {{rank.world.size}} in {{run.path}}", flush=True)
    if action == "wrong":
        raise UsageError(word)
    if action == "broken":  # as a connection that broke
        time.sleep(0.3)
        run.end("failed", error="broken")
        raise RuntimeError("broken")
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if action in ("sleep", "ignore"):
        time.sleep(60)
    run.end("finished")
"""


def stub(*actions, grace_s=20.0):
    return launch([sys.executable, "-c", STUB, *actions], len(actions), grace_s)


def ranks(runs, *actions, grace_s=20.0):
    """(exit code, the record) of a job."""
    code = launch([sys.executable, "-c", RANK, str(runs), *actions], len(actions), grace_s)
    (file,) = runs.glob("*/*/run.json")
    return code, read_record(file.parent)


# Without rank 0, which has made no run, the others have nothing to do.
AFTER_THE_OTHERS = """
import time
while os.environ["RANK"] == "0" and len(list(Path(sys.argv[1]).iterdir())) < int(
    os.environ["WORLD_SIZE"]
):
    time.sleep(0.01)
"""


# ----------------------------------------------------------------------------------- how they start
def test_the_ranks_know_who_they_are(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    code = (
        """
import json, os, sys
from pathlib import Path
seen = {**os.environ, "group": os.getpgid(0), "pid": os.getpid(), "tty": sys.stdin.isatty()}
Path(sys.argv[1], os.environ["RANK"]).write_text(json.dumps(seen))
"""
        + AFTER_THE_OTHERS
    )
    assert launch([sys.executable, "-c", code, str(tmp_path)], 3) == 0
    seen = [json.loads((tmp_path / str(rank)).read_text()) for rank in range(3)]
    for rank, one in enumerate(seen):
        assert (one["RANK"], one["LOCAL_RANK"], one["NODE_RANK"]) == (str(rank), str(rank), "0")
        assert one["WORLD_SIZE"] == "3"
        assert int(one["OMP_NUM_THREADS"]) == max(1, len(os.sched_getaffinity(0)) // 3)
        assert one["GLOO_SOCKET_IFNAME"] == "lo"
        assert one["group"] == one["pid"]
        assert not one["tty"]
    (folder,) = {one["CHARLAB_EXCHANGE"] for one in seen}
    assert not Path(folder).exists()


def test_what_the_user_has_set_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("RANK", "5")
    code = (
        """
import os, sys
from pathlib import Path
Path(sys.argv[1], os.environ["RANK"]).write_text(os.environ["OMP_NUM_THREADS"])
"""
        + AFTER_THE_OTHERS
    )
    assert launch([sys.executable, "-c", code, str(tmp_path)], 2) == 0
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["7", "7"]


def test_the_command_line_is_repeated_with_the_options_of_the_interpreter():
    code = "from charlab.launch import this_command; print(*this_command()[1:], sep='|')"
    words = ["-W", "error", "-c", code, "a=b c", "-m"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip("\n").split("|") == words[:3] + code.split("|") + words[4:]
    assert this_command()[0] == sys.executable


def test_the_launcher_loads_nothing_heavy():
    code = "import sys, charlab.launch; print(*{'torch', 'wandb', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# ------------------------------------------------------------------------------------- how they end
def test_all_is_well(capfd):
    assert stub("exit=0", "exit=0") == 0
    out, err = capfd.readouterr()
    assert out == "rank 0 starts\n"
    assert err == "rank 0 ends\n"


def test_the_failure_of_one_ends_all_and_is_shown_once(capfd):
    began_s = time.monotonic()
    assert stub("sleep", "sleep", "exit=3") == 3
    assert time.monotonic() - began_s < 10
    out, err = capfd.readouterr()
    assert out == "rank 0 starts\n"
    assert err.splitlines() == [
        "rank 2 of 3 failed first: exit code 3",
        "the end of its output:",
        "  rank 2 starts",
        "  rank 2 ends",
    ]


def test_a_killed_rank_is_named(capfd):
    assert stub("sleep", "kill") == 137
    assert "rank 1 of 2 failed first: killed by SIGKILL" in capfd.readouterr().err
    assert stub("kill", "sleep") == 137
    assert capfd.readouterr().err == "rank 0 of 2 failed first: killed by SIGKILL\n"


def test_a_rank_that_fails_for_want_of_a_killed_one_is_not_to_blame(tmp_path, monkeypatch, capfd):
    """Also where it tells of that before the launcher looks."""
    monkeypatch.setattr("charlab.launch.POLL_S", 2.0)
    code, record = ranks(tmp_path, "broken", "kill")
    assert code == 137
    assert (record["status"], record["error"]) == ("preempted", "rank 1: killed by SIGKILL")
    assert "rank 1 of 2 failed first: killed by SIGKILL" in capfd.readouterr().err


def test_long_output_is_cut(capfd):
    code = """
import os, sys, time
if os.environ["RANK"] == "0":
    time.sleep(60)
print(*range(1000), sep=chr(10))
sys.exit(1)
"""
    assert launch([sys.executable, "-c", code], 2) == 1
    err = capfd.readouterr().err.splitlines()
    assert err[-1] == "  999"
    assert len(err) < 40


def test_who_does_not_end_is_killed_after_the_grace_period(tmp_path):
    """Also where rank 0 has ended well and another hangs."""
    began_s = time.monotonic()
    assert stub("ignore", "after=4", grace_s=0.5) == 4
    assert ranks(tmp_path, "end", "ignore", grace_s=0.5)[0] == 137
    assert 1.0 < time.monotonic() - began_s < 40


@pytest.mark.parametrize(
    "signum",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, marks=pytest.mark.slow),
    ],
)
def test_a_signal_reaches_each_rank_once(tmp_path, signum):
    code = f"""
import os, signal, sys, time
from pathlib import Path
count = 0
def handler(signum, frame):
    global count
    count += 1
signal.signal({int(signum)}, handler)
path = Path({str(tmp_path)!r}, os.environ["RANK"])
path.write_text("ready")
while not count:
    time.sleep(0.01)
time.sleep(0.3)
path.write_text(str(count))
sys.exit(7)
"""
    launcher = (
        "import sys; from charlab.launch import launch\n"
        f"sys.exit(launch([sys.executable, '-c', {code!r}], 2))"
    )
    process = subprocess.Popen([sys.executable, "-c", launcher], process_group=0)
    files = [tmp_path / "0", tmp_path / "1"]
    while not all(file.exists() and file.read_text() == "ready" for file in files):
        time.sleep(0.02)
    os.killpg(process.pid, signum)  # as a terminal does
    assert process.wait(30) == 7
    assert [file.read_text() for file in files] == ["1", "1"]


# --------------------------------------------------------------------------------- what is recorded
def test_one_run_directory_for_all(tmp_path, capfd):
    code, record = ranks(tmp_path, "fine", "fine")
    assert (code, record["status"]) == (0, "finished")
    assert not list(tmp_path.glob("*/*/*.log"))


def test_the_same_mistake_of_all_is_told_once_by_rank_0(tmp_path, capfd):
    code, record = ranks(tmp_path, "wrong=no such file", "wrong=no such file")
    assert (code, record["status"]) == (1, "failed")
    err = capfd.readouterr().err
    assert err.count("no such file") == 1
    assert "failed first" not in err


def test_what_follows_from_the_failure_of_another_is_not_told(tmp_path, capfd):
    code, record = ranks(tmp_path, "broken", "wrong=the disk is full")
    assert code == 1
    assert (record["status"], record["error"]) == (
        "failed",
        "rank 1: UsageError: the disk is full",
    )
    err = capfd.readouterr().err
    assert "RuntimeError" not in err
    assert err.count("the disk is full") == 1
    (log,) = tmp_path.glob("*/*/rank-1.log")
    assert err.splitlines()[-1] == f"all of it: {log}"
    assert "the disk is full" in log.read_text()


def test_a_broken_connection_is_put_down_to_the_rank_that_was_killed(tmp_path, capfd):
    code, record = ranks(tmp_path, "broken", "kill")
    assert code == 137
    assert record["error"] == "rank 1: killed by SIGKILL"
    assert "RuntimeError" not in capfd.readouterr().err


def test_a_run_whose_rank_0_was_killed_is_not_left_running(tmp_path):
    code, record = ranks(tmp_path, "kill", "sleep")
    assert code == 137
    assert (record["status"], record["error"]) == ("preempted", "rank 0: killed by SIGKILL")
    assert record["ended"] >= record["started"]
    assert 0 <= record["seconds"] < 30


def test_an_interrupted_run_is_recorded_where_rank_0_cannot(tmp_path):
    launcher = (
        "import sys; from charlab.launch import launch\n"
        f"sys.exit(launch([sys.executable, '-c', {RANK!r}, {str(tmp_path)!r}, 'ignore', 'sleep'],"
        " 2, grace_s=0.5))"
    )
    process = subprocess.Popen([sys.executable, "-c", launcher], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("rank 0 of 2 in ")
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 137
    (file,) = tmp_path.glob("*/*/run.json")
    record = read_record(file.parent)
    assert (record["status"], record["error"]) == ("preempted", "interrupted")


def test_marking_how_a_run_ended_keeps_when(tmp_path):
    run = Run.create(CONFIG, [], tmp_path)
    run.end("failed", error="first")
    before = read_record(run.path)
    mark_ended(run.path, "pruned", "second")
    assert read_record(run.path) == before | {"status": "pruned", "error": "second"}


def test_where_rank_0_has_nothing_to_do_the_others_end():
    """They wait for a run, which had finished already when rank 0 looked."""
    began_s = time.monotonic()
    assert stub("end", "sleep") == 0
    assert time.monotonic() - began_s < 15
