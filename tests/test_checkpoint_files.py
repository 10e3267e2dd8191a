"""Checkpoint files: whole or not there, damage is seen, and the one before is used."""

import errno
import os
import random
from pathlib import Path

import pytest
import torch

from charlab import checkpoint
from charlab.checkpoint import read_checkpoint, settle_last, write_checkpoint
from charlab.errors import CharlabError, UsageError
from charlab.trainer import DurableCheckpointIO

CONTENT = {
    "charlab": {"scores": {"val/bpc": 2.5}},
    "weights": torch.arange(500.0),
    "list": [1, "a"],
}


def numbered(number):
    return CONTENT | {"global_step": number}


def last_step(folder):
    found, note = settle_last(folder)
    return None if found is None else found["global_step"], note


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def file(tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    return tmp_path / "run" / "checkpoints" / "last.ckpt"


def test_what_is_written_is_read(file):
    write_checkpoint(CONTENT, file)
    for found in (read_checkpoint(file, sealed=True), torch.load(file, weights_only=True)):
        assert torch.equal(found.pop("weights"), CONTENT["weights"])
        assert found == {name: CONTENT[name] for name in ("charlab", "list")}
    assert torch.equal(DurableCheckpointIO().load_checkpoint(file)["weights"], CONTENT["weights"])


def test_the_one_before_stays(file):
    for number in range(1, 4):
        write_checkpoint(numbered(number), file)
    assert names(file.parent) == ["last.ckpt", "previous.ckpt"]
    assert read_checkpoint(file.with_name("previous.ckpt"))["global_step"] == 2
    best = file.with_name("best.ckpt")
    for number in (1, 2):
        write_checkpoint(numbered(number), best)
    assert names(file.parent) == ["best.ckpt", "last.ckpt", "previous.ckpt"]
    assert last_step(file.parent) == (3, "")


def test_a_changed_byte_anywhere_is_seen(file):
    write_checkpoint(numbered(1), file)
    whole = file.read_bytes()
    places = random.Random(0).sample(range(len(whole)), 300)
    for place in [*places, 0, len(whole) - 1, len(whole) - 64, len(whole) - 79]:
        damaged = bytearray(whole)
        damaged[place] ^= 1
        file.write_bytes(damaged)
        with pytest.raises(UsageError, match="cannot be read"):
            read_checkpoint(file, sealed=True)
    for length in (0, 1, 22, len(whole) // 2, len(whole) - 79, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(UsageError, match="cannot be read"):
            read_checkpoint(file, sealed=True)


@pytest.mark.parametrize("content", [b"", "a tensor"])
def test_a_file_that_is_none_of_ours_says_what_else_there_is(file, content):
    best = file.with_name("best.ckpt")
    if content:
        torch.save(torch.zeros(3), best)
    else:
        best.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_checkpoint(best)
    assert caught.value.expected
    assert caught.value.got
    assert caught.value.hint == "train it again: there is no other"
    write_checkpoint(CONTENT, file)
    with pytest.raises(UsageError) as caught:
        read_checkpoint(best)
    assert caught.value.hint == "--checkpoint last"


def test_a_damaged_last_one_gives_way_to_the_one_before(file):
    write_checkpoint(numbered(1), file)
    write_checkpoint(numbered(2), file)
    file.write_bytes(file.read_bytes()[:-1000])
    step, note = last_step(file.parent)
    assert step == 1
    assert note == "last.ckpt is damaged: it does not end as it was written"
    assert names(file.parent) == ["last.ckpt"]
    assert last_step(file.parent) == (1, "")
    write_checkpoint(numbered(2), file)
    for path in file.parent.iterdir():
        path.write_bytes(b"")
    step, note = last_step(file.parent)
    assert step is None
    assert note.count("damaged") == 2


def test_a_run_without_checkpoints_has_none(file):
    assert last_step(file.parent) == (None, "")


class Crash(BaseException):
    pass


def crash_at(monkeypatch, number):
    """The n-th thing that changes the disk does not happen, nor anything after it."""
    calls = 0

    def guarded(function):
        def call(*arguments, **named):
            nonlocal calls
            calls += 1
            if calls >= number:
                raise Crash
            return function(*arguments, **named)

        return call

    monkeypatch.setattr(Path, "replace", guarded(Path.replace))
    monkeypatch.setattr(os, "fsync", guarded(os.fsync))


@pytest.mark.parametrize("moment", range(1, 5))
def test_a_crash_at_any_moment_leaves_a_whole_one(file, monkeypatch, moment):
    write_checkpoint(numbered(1), file)
    write_checkpoint(numbered(2), file)
    with monkeypatch.context() as patched:
        crash_at(patched, moment)
        with pytest.raises(Crash):
            write_checkpoint(numbered(3), file)
    step, note = last_step(file.parent)
    assert step == (3 if moment == 4 else 2)  # the last moment is the folder's own fsync
    assert note == ""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("fails", ["fsync", "write"])
def test_a_disk_that_fails_leaves_the_old_one_and_is_told(file, monkeypatch, number, fails):
    write_checkpoint(numbered(1), file)

    def fail(*arguments, **named):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        if fails == "fsync":
            patched.setattr(os, "fsync", fail)
        else:
            patched.setattr(Path, "open", fail)
        with pytest.raises(CharlabError, match="cannot be written") as caught:
            write_checkpoint(numbered(2), file)
    assert caught.value.got == os.strerror(number)
    assert caught.value.hint.endswith("it goes on from the last checkpoint")
    assert names(file.parent) == ["last.ckpt"]
    assert last_step(file.parent) == (1, "")


def test_the_sum_is_the_archives_comment(file):
    """So other readers of zip archives are content too."""
    import zipfile

    write_checkpoint(CONTENT, file)
    with zipfile.ZipFile(file) as archive:
        assert archive.comment.startswith(checkpoint.MARK)
        assert archive.testzip() is None
