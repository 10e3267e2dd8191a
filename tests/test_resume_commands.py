"""When a run saves what it needs to go on, and the commands that let it."""

import shutil
import subprocess
import sys

import pytest
import torch

from charlab import cli
from charlab.checkpoint import read_checkpoint, write_checkpoint
from charlab.runs import read_record

from .jobs import Job
from .killing import Blow, differences, results
from .running import ROOT, TINY, rows, train, write_names
from .test_resume import DROPOUT, STEP, TERM, go, only_run


@pytest.fixture(scope="module")
def whole_dropout(tmp_path_factory):
    """What the run "dropout" leaves when nothing stops it."""
    folder = tmp_path_factory.mktemp("dropout")
    assert go(folder, "dropout") == 0
    return results(only_run(folder))


# ------------------------------------------------------------------------------------ when it saves
def saved_steps(folder, monkeypatch, *overrides):
    steps = []

    def note(checkpoint, path):
        if path.name == "last.ckpt":
            steps.append(checkpoint["global_step"])
        write_checkpoint(checkpoint, path)

    monkeypatch.setattr("charlab.trainer.write_checkpoint", note)
    assert train(folder, "trainer.test=false", *overrides)[0] == 0
    return steps


def test_it_saves_around_validations_and_at_the_end(tmp_path, monkeypatch):
    assert saved_steps(tmp_path, monkeypatch) == [9, 10, 19, 20, 29, 30]


def test_it_saves_every_so_many_steps_and_seconds(tmp_path, monkeypatch):
    sometimes = ("callbacks.checkpoint.every_n_steps=12", "callbacks.checkpoint.every_s=null")
    assert saved_steps(tmp_path, monkeypatch, *sometimes) == [9, 10, 12, 19, 20, 24, 29, 30]
    always = "callbacks.checkpoint.every_s=0"
    assert saved_steps(tmp_path, monkeypatch, always, "trainer.max_steps=8") == list(range(1, 9))


def test_the_best_one_is_that_of_the_lowest_score(tmp_path):
    """Here the rate is so high that it is not the last one."""
    assert go(tmp_path, "names", "optimizer.lr=3", "callbacks.divergence.enabled=false") == 0
    run = only_run(tmp_path)
    scores = {
        row["step"]: row["val/bpc"] for row in rows(run / "metrics.jsonl") if "val/bpc" in row
    }
    best = read_checkpoint(run / "checkpoints" / "best.ckpt")
    assert best["global_step"] == min(scores, key=scores.get)
    assert best["charlab"]["scores"]["val/bpc"] == min(scores.values())
    assert read_record(run)["scores"]["best_step"] == best["global_step"]
    assert "optimizer_states" not in best


# ----------------------------------------------------------------------------------- charlab resume
def test_charlab_resume_needs_the_directory_alone(tmp_path, whole_dropout, monkeypatch, capsys):
    assert go(tmp_path, "dropout", blow=Blow(STEP, 14, TERM)) == 130
    run = only_run(tmp_path)
    monkeypatch.chdir(run)
    assert cli.run(["resume", ".", "callbacks.progress.epochs=true"]) == 0
    assert "epoch 1  mean loss" in capsys.readouterr().out
    assert list(differences(whole_dropout, results(run))) == []
    assert cli.run(["resume", str(run)]) == 2
    assert "has finished: nothing is left of its budget" in capsys.readouterr().err


def test_charlab_resume_refuses_what_would_be_another_run(tmp_path, capsys):
    assert go(tmp_path, "names", blow=Blow(STEP, 5, TERM)) == 130
    run = only_run(tmp_path)
    for override, had in (("data.batch_size=40", 16), ("optimizer.lr=1e-4", 0.005)):
        assert cli.run(["resume", str(run), override]) == 2
        told = capsys.readouterr().err
        name = override.partition("=")[0]
        assert f"a run goes on as it began: {name} cannot be changed" in told
        assert f"{name}={had}, as {run / 'config.yaml'} has it" in told
    assert cli.run(["resume", str(tmp_path)]) == 2
    assert "is not a run directory" in capsys.readouterr().err
    assert read_record(run)["status"] == "preempted"


# --------------------------------------------------------------------------------------- once
@pytest.mark.slow
def test_of_two_at_the_same_time_one_runs(tmp_path):
    write_names(tmp_path)
    jobs = [Job(tmp_path, "--once", "trainer.max_steps=60") for _ in range(2)]
    ended = [job.end() for job in jobs]
    codes = sorted(code for code, _, _ in ended)
    (held,) = [err for code, _, err in ended if code == 75]
    assert codes == [0, 75]
    run = jobs[0].run
    assert held.startswith(f"error: {run} is held by process ")
    assert held.splitlines()[1:] == [f"  try       charlab runs --watch {run}, which follows it"]


def test_once_is_once(tmp_path):
    """A second has nothing to do, and loads nothing for it."""
    words = ("--once", "trainer.max_steps=10")
    exit_code, run = train(tmp_path, *words)
    assert exit_code == 0
    before = (run / "run.json").read_text()
    assert train(tmp_path, *words) == (0, run)
    assert (run / "run.json").read_text() == before
    shutil.rmtree(run / "checkpoints")
    code = (
        "import sys; from charlab.config.entry import main; from train import train; "
        "from pathlib import Path; code = main(sys.argv[2:], train, Path(sys.argv[1])); "
        "sys.exit(code or len({'torch', 'pytorch_lightning', 'wandb'} & set(sys.modules)))"
    )
    paths = (f"paths.runs={tmp_path / 'runs'}", f"data.path={tmp_path / 'names.txt'}")
    given = (ROOT / "train.py", *TINY, *paths, f"paths.cache={tmp_path / 'cache'}", *words)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}", *given],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"finished already: {run}\n"


def test_once_counts_a_failure_too(tmp_path, capsys):
    diverges = ("optimizer.lr=1e30", "trainer.gradient_clip=0", "--once")
    exit_code, run = train(tmp_path, *diverges)
    assert exit_code == 3
    capsys.readouterr()
    assert train(tmp_path, *diverges) == (1, run)
    out, err = capsys.readouterr()
    first, *others = err.splitlines()
    assert (out, others) == ("", ["  try       --retry-failed, which tries it again"])
    assert first.startswith(f"error: failed before: {run}: TrainingDiverged: training diverged")
    exit_code, again = train(tmp_path, *diverges, "--retry-failed")
    assert (exit_code, again.name) == (3, f"{run.name}-2")
    assert train(tmp_path, "--retry-failed")[0] == 2
    assert "--retry-failed goes with --once, or with -m" in capsys.readouterr().err


def test_a_run_that_must_go_on_needs_an_interrupted_one(tmp_path, whole_dropout, capsys):
    must = "resume=must"
    assert train(tmp_path, *DROPOUT, must) == (2, None)
    assert "no interrupted run of this configuration is in" in capsys.readouterr().err
    assert go(tmp_path, "dropout", blow=Blow(STEP, 7)) == 137
    assert go(tmp_path, "dropout", must) == 0
    assert list(differences(whole_dropout, results(only_run(tmp_path)))) == []
    assert go(tmp_path, "dropout", must) == 2


def test_of_two_interrupted_runs_the_newer_goes_on_and_the_other_is_named(tmp_path):
    assert go(tmp_path, "names", blow=Blow(STEP, 7, TERM)) == 130
    older = only_run(tmp_path)
    assert go(tmp_path, "names", "resume=never", blow=Blow(STEP, 7, TERM)) == 130
    assert "interrupted too" not in (tmp_path / "log.txt").read_text()
    assert go(tmp_path, "names") == 0
    assert read_record(older.with_name(f"{older.name}-2"))["status"] == "finished"
    assert read_record(older)["status"] == "preempted"
    said = " ".join((tmp_path / "log.txt").read_text().split())
    assert f"interrupted too: charlab resume {older}" in said


def test_checkpoints_hold_plain_containers_and_tensors_alone(tmp_path):
    assert go(tmp_path, "early") == 0
    for name in ("best", "last"):
        checkpoint = read_checkpoint(only_run(tmp_path) / "checkpoints" / f"{name}.ckpt")
        assert_plain(checkpoint)


def assert_plain(value):
    if isinstance(value, dict):
        for key, part in value.items():
            assert type(key) in (str, int)
            assert_plain(part)
    elif type(value) in (list, tuple):
        for part in value:
            assert_plain(part)
    else:
        assert value is None or type(value) in (str, int, float, bool, torch.Tensor), value


def test_a_package_without_its_script_says_what_to_install(tmp_path, monkeypatch, capsys):
    code, run = train(tmp_path, "trainer.max_steps=10")
    assert code == 0
    monkeypatch.setattr("charlab.resume_command.SCRIPT", tmp_path / "train.py")
    assert cli.run(["resume", str(run), "trainer.max_steps=12"]) == 2
    told = capsys.readouterr().err
    assert f"there is no {tmp_path / 'train.py'}" in told
    assert "try       make install, in the checkout" in told
