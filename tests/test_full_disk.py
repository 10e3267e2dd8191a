"""A disk that is full, broken or read-only: one clear message, and nothing is lost."""

import errno
import os
import subprocess

import pytest

from charlab.checkpoint import read_checkpoint
from charlab.runs import read_record

from .killing import Blow, differences, results
from .running import train
from .test_resume import STEP, TERM, go, only_run

HINT = "the same command again, once there is room: it goes on from the last checkpoint"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert train(folder)[0] == 0
    return results(only_run(folder))


@pytest.fixture
def small_disk(tmp_path):
    """A function that makes a disk with room for so many bytes, and one that empties it again."""
    disk = tmp_path / "runs"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], capture_output=True
    )
    if made.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {made.stderr.decode().strip()}")
    filler = disk / "filler"

    def fill(room_bytes):
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        filler.write_bytes(bytes(free - room_bytes))

    yield fill, filler.unlink
    subprocess.run(["umount", disk], check=True)


def error_of(capsys):
    told = capsys.readouterr().err
    assert "Traceback" not in told
    return told


@pytest.mark.parametrize("room_kib", [24, 80])
def test_a_run_on_a_full_disk_ends_and_goes_on_when_there_is_room(
    tmp_path, capsys, whole, small_disk, room_kib
):
    """A checkpoint has 37 KB: the disk is full at the first, at others, or for rows."""
    fill, empty = small_disk
    fill(room_kib * 1024)
    code, run = train(tmp_path)
    told = error_of(capsys)
    assert code == 1
    assert " cannot be written\n" in told
    assert f"got       {os.strerror(errno.ENOSPC)}" in told
    assert HINT in told
    assert read_record(run)["status"] in ("preempted", "running")
    for path in (run / "checkpoints").glob("*.ckpt"):
        read_checkpoint(path)
    empty()
    assert train(tmp_path) == (0, run)
    assert list(differences(whole, results(run))) == []
    assert not list(run.rglob("*.new"))


def test_a_disk_with_no_room_at_all_is_told_before_training(tmp_path, capsys, small_disk):
    fill, _ = small_disk
    fill(0)
    assert train(tmp_path) == (2, None)
    told = error_of(capsys)
    assert "cannot make a run directory in" in told
    assert os.strerror(errno.ENOSPC) in told
    assert not list((tmp_path / "runs" / "names").glob("[!.]*"))


def test_a_read_only_disk_is_told_before_training(tmp_path, capsys, small_disk):
    """Also where it has a run to go on with, which stays as it is."""
    disk = tmp_path / "runs"
    assert go(tmp_path, "names", blow=Blow(STEP, 14, TERM)) == 130
    run = only_run(tmp_path)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    for words in ((), ("resume=never",), ("group=other",)):
        assert train(tmp_path, *words)[0] == 2
        assert os.strerror(errno.EROFS) in error_of(capsys)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("call", [3, 9])
def test_a_disk_that_breaks_ends_the_run_which_goes_on_later(
    tmp_path, capsys, monkeypatch, whole, call
):
    """From then on nothing gets onto it: rows before a checkpoint, checkpoints, run.json."""
    left = call

    def fsync(handle):
        nonlocal left
        left -= 1
        if left <= 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fsync)
        code, run = train(tmp_path)
    told = error_of(capsys)
    assert code == 1
    assert f"got       {os.strerror(errno.EIO)}" in told
    assert train(tmp_path) == (0, run)
    assert list(differences(whole, results(run))) == []
