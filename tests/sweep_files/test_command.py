"""`charlab sweep` as it is typed: plans, whole sweeps of pretended jobs, kills, mistakes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from charlab import cli
from charlab.runs import read_record
from charlab.sweeps.search import plan

from .making import LR, ROOT, write_sweep
from .pretended import NUM_STEPS

CELLS = {
    "group": {"value": "g"},
    "model": {"values": ["gru", "lstm"]},
    "optimizer.lr": {"values": [0.01, 0.1]},
}
QUICK = "trainer.gradient_clip=0"


def told(capsys, *words):
    exit_code = cli.run(["sweep", *map(str, words)])
    out, err = capsys.readouterr()
    return exit_code, out, err


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder like the repository's, with jobs of milliseconds."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    pretended = Path(__file__).with_name("pretended.py")
    here = f'sys.path.insert(0, "{ROOT}")\n'
    (tmp_path / "train.py").write_text(
        f"import sys\n{here}import runpy\nsys.argv[0] = '{pretended}'\n"
        f"runpy.run_path('{pretended}', run_name='__main__')\n"
    )
    return tmp_path


def make(folder, **changes):
    return write_sweep(folder, program="train.py", **changes)


class Sweep:
    """`charlab sweep` in a process of its own."""

    def __init__(self, folder, *words):
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from charlab.cli import main; main()", "sweep", *words],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self):
        out, _ = self.process.communicate(timeout=120)
        return self.process.returncode, out


def runs_of(folder):
    return sorted(path.parent for path in folder.glob("runs/g/*/run.json"))


def results(folder):
    """What the runs say in the end, whatever it took."""
    return {
        run.name: (
            read_record(run)["status"],
            read_record(run).get("scores"),
            (run / "metrics.jsonl").read_text(),
        )
        for run in runs_of(folder)
    }


def starts_of(folder):
    return {run.name: (run / "starts").read_text().split() for run in runs_of(folder)}


def wait_for(is_so):
    give_up_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def test_help_is_quick(capsys):
    code = (
        "import sys; from charlab.cli import run; code = run(['sweep', '--help']); "
        "heavy = {'torch', 'pytorch_lightning', 'wandb', 'hydra', 'optuna', 'rich'}; "
        "sys.exit(code or len(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "[OPTION=VALUE]" in done.stdout


def test_a_plan_of_a_grid_starts_nothing(folder, capsys):
    make(folder, method="grid", run_cap=None, parameters=CELLS)
    exit_code, out, _ = told(capsys, "sweep.yaml", "--dry-run", "seed=3")
    assert exit_code == 0
    assert "4 lr=0.1 model=lstm" in " ".join(out.split()) or "model=lstm lr=0.1" in out
    assert "4 jobs; runs in runs/g" in out
    assert not (folder / "runs").exists()


def test_a_plan_of_a_search_shows_the_space_and_first_trials(folder, capsys):
    pytest.importorskip("optuna")
    make(folder, method="bayes")
    exit_code, out, _ = told(capsys, "sweep.yaml", "--dry-run", "--trials", "3")
    assert exit_code == 0
    assert "optimizer.lr: a number from 0.0001 to 0.1, uniform in its logarithm" in out
    assert "lr=0.0115299" in out
    assert "bayes search: 3 trials for each of sweep" in out
    assert not (folder / "runs").exists()


def test_a_grid_runs_and_is_reported_by_cell(folder, capsys):
    make(folder, method="grid", run_cap=None, parameters=CELLS)
    exit_code, out, _ = told(capsys, "sweep.yaml", "--workers", "2", "--per", "model", QUICK)
    assert exit_code == 0
    assert {read_record(run)["status"] for run in runs_of(folder)} == {"finished"}
    assert len(runs_of(folder)) == 4
    last = 2 + 1 / NUM_STEPS
    row = next(line for line in out.splitlines() if line.startswith("model=lstm"))
    assert row.split()[1:6] == ["2", "0", "0", f"{last + 0.1:.4f}", f"{last + 0.6:.4f}"]
    exit_code, again, _ = told(capsys, "sweep.yaml", "--report", "--per", "model", QUICK)
    assert exit_code == 0
    assert row in again


@pytest.mark.slow
def test_a_grid_is_pruned_too(folder, capsys):
    parameters = {"group": {"value": "g"}, "optimizer.lr": {"values": [0.01, 0.02, 0.0001, 0.001]}}
    hyperband = {"type": "hyperband", "min_iter": 1, "eta": 2}
    make(folder, method="grid", run_cap=None, parameters=parameters, early_terminate=hyperband)
    slow = "trainer.gradient_clip=0.15"
    exit_code, out, _ = told(capsys, "sweep.yaml", slow)
    assert exit_code == 0, out
    statuses = [read_record(run)["status"] for run in runs_of(folder)]
    # at the first rung of eta 2, the second of two is still within the best half
    assert sorted(statuses) == ["finished", "finished", "pruned", "pruned"]


@pytest.mark.slow
def test_a_search_that_was_killed_ends_as_if_it_was_not(folder):
    """By SIGKILL in the middle of a job, and once more by Ctrl-C."""
    pytest.importorskip("optuna")
    make(folder)
    words = ["sweep.yaml", "--trials", "3", "trainer.gradient_clip=0.1"]
    code, out = Sweep(folder, *words).end()
    assert code == 0, out
    whole = results(folder)
    assert len(whole) == 3
    (folder / "runs").rename(folder / "whole")

    killed = Sweep(folder, *words)
    wait_for(lambda: len(runs_of(folder)) == 2)
    time.sleep(0.4)
    killed.process.kill()
    killed.end()
    stopped = Sweep(folder, *words)
    wait_for(lambda: len(runs_of(folder)) == 3)
    stopped.process.send_signal(signal.SIGINT)
    code, out = stopped.end()
    assert code == 130, out
    code, out = Sweep(folder, *words).end()
    assert code == 0, out
    assert results(folder) == whole
    starts = starts_of(folder)
    assert max(len(each) for each in starts.values()) > 1, "nothing was cut off"
    # each start after the first goes on where the one before it stopped
    assert all(steps == sorted(steps, key=int) for steps in starts.values()), starts


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["file", "database"])
def test_two_sweeps_on_one_storage_share_its_trials(folder, storage):
    pytest.importorskip("optuna")
    make(folder)
    url = [] if storage == "file" else ["--storage", f"sqlite:///{folder / 'study.db'}"]
    words = ["sweep.yaml", *url, "trainer.gradient_clip=0.05"]
    both = [Sweep(folder, *words), Sweep(folder, *words)]
    for code, out in [sweep.end() for sweep in both]:
        assert code == 0, out
    starts = starts_of(folder)
    assert len(starts) == 6
    assert set(map(tuple, starts.values())) == {("0",)}, "none was run twice"


def test_a_job_that_fails_makes_the_exit_code_1(folder, capsys):
    pytest.importorskip("optuna")
    parameters = {"group": {"value": "g"}, "optimizer.lr": {**LR, "min": 0.01, "max": 5.0}}
    make(folder, parameters=parameters, run_cap=2)
    exit_code, out, _ = told(capsys, "sweep.yaml", QUICK)
    assert exit_code == 1
    statuses = {read_record(run)["status"] for run in runs_of(folder)}
    assert statuses == {"finished", "failed"}
    assert "it diverged" in out
    exit_code, out, _ = told(capsys, "sweep.yaml", QUICK)
    assert exit_code == 1
    assert told(capsys, "sweep.yaml", "--report", QUICK)[0] == 0


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (["no.yaml"], ["there is no file no.yaml"]),
        (["sweep.yaml", "--trials", "0"], ["0 is not in the range x>=1"]),
        (["sweep.yaml", "--wrokers", "2"], ["No such option"]),
        (["sweep.yaml", "model.hiden_size=3"], ["did you mean model.hidden_size?"]),
        (["sweep.yaml", "seed=1,2"], ["seed has several values"]),
        (["sweep.yaml", "--per", "optimizer.l"], ["no parameter", "did you mean optimizer.lr?"]),
        (["sweep.yaml", "--per", "optimizer.lr"], ["it has endlessly many values"]),
        (["sweep.yaml", "--report"], ["no trial of this search has been run"]),
        (["sweep.yaml", "--storage", "x"], ["the storage cannot be opened"]),
    ],
)
def test_mistakes_are_told(folder, capsys, words, fragments):
    make(folder)
    exit_code, _, err = told(capsys, *words)
    assert exit_code == 2
    assert all(fragment in err for fragment in fragments), err
    assert not list(folder.glob("runs/g/*/run.json"))


def test_a_search_has_to_have_an_end(folder, capsys):
    make(folder, run_cap=None)
    _, _, err = told(capsys, "sweep.yaml")
    assert "nothing says when the random search of sweep.yaml ends" in err
    assert "--trials 20" in err
    parameters = {**CELLS, "optimizer.lr": LR, "model": {"values": ["gru", "lstm", "rnn", "mlstm"]}}
    make(folder, parameters=parameters)
    _, _, err = told(capsys, "sweep.yaml", "--per", "model")
    assert "run_cap 6 cannot be dealt out to 4 values of --per" in err
    assert "--trials 1" in err


def test_without_optuna(folder, capsys, monkeypatch):
    monkeypatch.setattr(plan, "find_spec", lambda name: None)
    make(folder)
    exit_code, _, err = told(capsys, "sweep.yaml")
    assert exit_code == 2
    assert "needs optuna" in err
    assert "-e '.[sweeps]'" in err
    make(folder, method="grid", parameters=CELLS)
    assert told(capsys, "sweep.yaml", "--dry-run")[0] == 0
