"""`charlab leet`: W&B's terminal dashboard on run directories."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import wandb

from charlab.leet import link_runs

CHARLAB = Path(sys.executable).with_name("charlab")


def run_of(folder, group, name, *parts):
    """A run directory with a W&B file of each part: a time and an id."""
    run = folder / "runs" / group / name
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    for kind, time_text, run_id in parts:
        inner = run / "wandb" / f"{kind}-{time_text}-{run_id}"
        inner.mkdir(parents=True)
        (inner / f"run-{run_id}.wandb").write_text(f"{group} {name} {time_text}")
    return run


def test_every_part_of_every_run_has_a_link_of_its_own(tmp_path):
    runs = [
        run_of(
            tmp_path,
            "a",
            "gru-1xh8",
            ("offline-run", "20260101_000000", "x"),
            ("run", "20260102_000000", "x"),
        ),
        run_of(tmp_path, "b", "gru-1xh8", ("offline-run", "20260101_000000", "y")),
        run_of(tmp_path, "b", "lstm-1xh8"),
    ]
    links = tmp_path / "links"
    links.mkdir()
    assert link_runs(runs, links) == 3
    assert {str(file.relative_to(links)): file.read_text() for file in links.glob("*/*")} == {
        "run-20260101_000000-gru-1xh8/run-gru-1xh8.wandb": "a gru-1xh8 20260101_000000",
        "run-20260102_000000-gru-1xh8/run-gru-1xh8.wandb": "a gru-1xh8 20260102_000000",
        "run-20260101_000000-gru-1xh82/run-gru-1xh82.wandb": "b gru-1xh8 20260101_000000",
    }


def test_runs_without_files_of_wandb_are_told(tmp_path):
    run_of(tmp_path, "b", "lstm-1xh8")
    done = subprocess.run([CHARLAB, "leet"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "these runs have no files of W&B" in done.stderr
    assert "got       W&B disabled in 1 run(s)" in done.stderr
    assert "try       logger.wandb.mode=offline" in done.stderr
    done = subprocess.run([CHARLAB, "leet", "other"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "other names no runs" in done.stderr


def test_it_needs_a_terminal(tmp_path):
    run_of(tmp_path, "b", "lstm-1xh8", ("run", "20260102_000000", "x"))
    done = subprocess.run([CHARLAB, "leet"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "the dashboard needs a terminal" in done.stderr
    assert "try       charlab runs" in done.stderr


def test_where_there_are_no_runs_it_says_so(tmp_path):
    (tmp_path / "elsewhere" / "empty").mkdir(parents=True)
    words = [CHARLAB, "leet", "--root", "elsewhere"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there are no runs here" in done.stderr
    assert "try       python train.py makes a run" in done.stderr
    assert "W&B disabled" not in done.stderr


def test_groups_may_be_in_another_folder(tmp_path):
    run_of(tmp_path, "b", "lstm-1xh8")
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    words = [CHARLAB, "leet", "b", "--root", "elsewhere"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert "these runs have no files of W&B" in done.stderr


def screen_of(command, folder, wanted, timeout_s=60):
    """What a program draws in a terminal until `wanted` is there; then it gets a "q"."""
    leader, follower = pty.openpty()  # reading it is an error once the program has ended
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color", "HOME": str(folder)}
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    drawn, give_up_s = b"", time.monotonic() + timeout_s
    try:
        while wanted not in drawn and time.monotonic() < give_up_s:
            if select.select([leader], [], [], 0.5)[0]:
                drawn += os.read(leader, 65536)
        os.write(leader, b"q")
        while process.poll() is None and time.monotonic() < give_up_s:
            if select.select([leader], [], [], 0.2)[0]:
                with contextlib.suppress(OSError):
                    os.read(leader, 65536)
        return drawn, process.poll()
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def test_the_dashboard_opens_on_the_runs(offline_runs, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    drawn, code = screen_of([CHARLAB, "leet", "names"], offline_runs, b"val/bpc")
    assert b"val/bpc" in drawn, drawn[-3000:]
    assert b"gru-1xh8-s0" in drawn
    assert code == 0
    assert not list(tmp_path.glob("charlab-leet-*")), "the links are removed"


@pytest.fixture
def offline_runs(tmp_path_factory):
    """A folder with runs/names/..., whose W&B file was written by W&B itself."""
    folder = tmp_path_factory.mktemp("leet")
    run = run_of(folder, "names", "gru-1xh8-s0")
    made = wandb.init(
        project="charlab",
        dir=str(run),
        mode="offline",
        name=run.name,
        settings=wandb.Settings(silent=True, console="off"),
    )
    made.define_metric("trainer/global_step")
    made.define_metric("*", step_metric="trainer/global_step")
    for step in range(10):
        made.log({"trainer/global_step": step, "val/bpc": 5 - step / 10})
    made.finish()
    return folder
