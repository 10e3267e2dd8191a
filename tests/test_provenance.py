"""What changed between two processes of a run, and between the runs of a sweep."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import charlab
from charlab import provenance
from charlab.errors import UsageError
from charlab.found import find_run
from charlab.provenance import changes, code_hash
from charlab.rows import keep_until
from charlab.run_config import config_to_go_on
from charlab.runs import read_record
from charlab.sweeps.ending import Outcomes
from charlab.sweeps.jobs import Job, Outcome

from .running import train


def test_any_change_of_the_code_has_another_hash(tmp_path):
    copy = tmp_path / "charlab"
    shutil.copytree(Path(charlab.__file__).parent, copy)
    code = "from charlab.provenance import code_hash; print(code_hash())"

    def of_copy():
        command = [sys.executable, "-c", code]
        return subprocess.check_output(command, cwd=tmp_path, text=True).strip()

    assert of_copy() == code_hash()
    with (copy / "engine" / "cpu" / "loops.h").open("a") as file:
        file.write("\n")
    assert of_copy() != code_hash()


def test_what_changed_since_a_run_was_last_at_work(monkeypatch):
    monkeypatch.setattr(provenance, "_versions", lambda: {"torch": "2.13"})
    began = {"code": code_hash(), "versions": {"torch": "2.13"}}
    assert changes(began) == []
    assert changes({}) == []
    assert changes(began | {"code": "0"}) == ["the code of charlab"]
    assert changes(began | {"versions": {"torch": "2.6"}}) == ["torch, then 2.6 and now 2.13"]
    # it has gone on with this code already, and that was said then
    assert changes(began | {"code": "0", "resumed": [{"code": code_hash()}]}) == []


def test_a_run_that_goes_on_with_other_code_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(provenance, "code_hash", lambda: "before")
    options = ("trainer.max_steps=12", "callbacks.checkpoint.every_n_steps=4")
    monkeypatch.setattr("charlab.outcome.final_scores", _stop)
    monkeypatch.setattr("train.final_scores", _stop, raising=False)
    code, run = train(tmp_path, *options)
    assert (code, read_record(run)["status"]) == (130, "preempted")
    monkeypatch.undo()
    capsys.readouterr()
    assert train(tmp_path, *options) == (0, run)
    assert "changed meanwhile: the code of charlab" in " ".join(capsys.readouterr().out.split())


def _stop(*given, **options):
    raise KeyboardInterrupt


def outcome(seed, code, data):
    record = {"status": "finished", "code": code, "data": {"fingerprint": data}}
    job = Job((), {"data": {"path": "towns.txt"}, "seed": seed})
    return Outcome(job, "finished", 0, None, record)


def test_a_sweep_says_what_changed_between_its_runs():
    assert Outcomes([outcome(1, "a", "x"), outcome(2, "a", "x")]).notes == []
    assert Outcomes([outcome(1, "a", "x"), outcome(2, "b", "x")]).notes == [
        "the code of charlab changed between these runs"
    ]
    assert Outcomes([outcome(1, "a", "x"), outcome(2, "a", "y")]).notes == [
        "the data changed between these runs"
    ]


# ------------------------------------------------------------------------------------------ damage
@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"status": "unheard of"}'])
def test_a_damaged_record_is_told_not_passed_over(tmp_path, text):
    """A finished run may be behind it, which nobody wants to run again."""
    (tmp_path / "run-2").mkdir()
    (tmp_path / "run-2" / "run.json").write_text(text)
    (tmp_path / "run-3").mkdir()  # no run directory
    with pytest.raises(UsageError, match="run-2"):
        find_run(tmp_path, "run")
    shutil.rmtree(tmp_path / "run-2")
    assert find_run(tmp_path, "run") is None


def test_rows_that_are_none_are_dropped_when_a_run_goes_on(tmp_path):
    file = tmp_path / "metrics.jsonl"
    good = '{"step": 1, "loss": 2}\n'
    file.write_text(good + '12\nnull\n{"loss": 3}\n{"step": "x"}\n{"st\n{"step": 3}\n{"step": 2')
    keep_until(file, 2)
    assert file.read_text() == good


def test_whether_checkpoints_are_kept_cannot_change_on_the_way(tmp_path):
    """The best one of before would be taken for the best of all."""
    code, run = train(tmp_path, "trainer.max_steps=4")
    assert code == 0
    config_to_go_on(run, ["callbacks.checkpoint.every_s=5"])
    with pytest.raises(UsageError, match=r"callbacks\.checkpoint\.enabled cannot be changed"):
        config_to_go_on(run, ["callbacks.checkpoint.enabled=false"])
