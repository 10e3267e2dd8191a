"""The charlab command: its help, and the mistakes that people make with it."""

import shutil
import subprocess
import sys

import pytest
import torch

from charlab import cli
from charlab.data.names import BUNDLED

from .running import train


def told(capsys, *words):
    exit_code = cli.run(words)
    out, err = capsys.readouterr()
    return exit_code, out, err


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    _, path = train(tmp_path_factory.mktemp("cli"), "trainer.max_steps=10")
    return path


@pytest.mark.parametrize(
    "words", [["--help"], ["sample", "--help"], ["eval", "-h"], ["data", "-h"]]
)
def test_help_tells_and_imports_nothing_heavy(words):
    code = (
        "import sys; from charlab.cli import run; code = run(sys.argv[1:]); "
        "heavy = {'torch', 'pytorch_lightning', 'wandb', 'hydra'} & set(sys.modules); "
        "sys.exit(code or len(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage: charlab" in done.stdout


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (["smaple"], ["No such command 'smaple'"]),
        (["sample"], ["Missing argument 'RUN'"]),
        (["sample", "no/such/run"], ["no/such/run is not a run directory", "no such folder"]),
        (["sample", "RUN", "--temperature", "-1"], ["-1", "not in the range"]),
        (["sample", "RUN", "--temperature", "inf"], ["inf", "not in the range"]),
        (["sample", "RUN", "--temperature", "nan"], ["nan"]),
        (["sample", "RUN", "-n", "0"], ["0 is not in the range x>=1"]),
        (["sample", "RUN", "--top-p", "1.5"], ["1.5 is not in the range"]),
        (["sample", "RUN", "--top-k", "many"], ["'many' is not a valid integer"]),
        (["sample", "RUN", "--checkpoint", "first"], ["'first' is not one of 'best', 'last'"]),
        (["eval", "RUN", "--dynamic", "--dynamic-lr", "inf"], ["inf is not a finite number"]),
        (["eval", "RUN", "--dynamic", "--dynamic-decay", "nan"], ["nan is not a finite number"]),
        (["eval", "RUN", "--split", "dev"], ["'dev' is not one of"]),
        (["eval", "RUN", "data.bach_size=3"], ["did you mean data.batch_size?"]),
        (["eval", "RUN", "data.batch_size=0"], ["data.batch_size cannot be 0"]),
        (["eval", "RUN", "data.path=no.txt"], ["there is no file no.txt"]),
        (["eval", "RUN", "model.hidden_size=32"], ["do not fit its model", "size mismatch"]),
        (["data", "numbers"], ["'numbers' is not one of 'names', 'enwik8'"]),
        (["data", "names", "data.val_fraction=2"], ["data.val_fraction cannot be 2"]),
    ],
)
def test_mistakes(capsys, run, words, fragments):
    words = [str(run) if word == "RUN" else word for word in words]
    exit_code, out, err = told(capsys, *words)
    assert exit_code == 2
    assert out == ""
    assert "Traceback" not in err
    for fragment in fragments:
        assert fragment in err


@pytest.mark.parametrize(
    ("content", "fragment", "hint"),
    [
        (b"", "cannot be read", "--checkpoint last"),
        (b"not a checkpoint", "cannot be read", "--checkpoint last"),
        (None, "no such file", "--checkpoint last"),
    ],
)
def test_a_damaged_checkpoint_is_named(capsys, tmp_path, run, content, fragment, hint):
    """The hint is one that helps: the other checkpoint, where there is one."""
    path = shutil.copytree(run, tmp_path / run.name)
    file = path / "checkpoints" / "best.ckpt"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    exit_code, _, err = told(capsys, "sample", str(path))
    assert exit_code == 2
    assert str(file) in err
    assert fragment in err
    assert f"  try       {hint}" in err
    assert told(capsys, "sample", str(path), *hint.split())[0] == 0
    (path / "checkpoints" / "last.ckpt").unlink()
    file.unlink(missing_ok=True)
    assert "this one has none, or none yet" in told(capsys, "sample", str(path))[2]


def test_a_traceback_changes_no_exit_code(capsys, monkeypatch):
    quiet = told(capsys, "sample", "no/such/run")
    monkeypatch.setenv("CHARLAB_DEBUG", "1")
    code, out, err = told(capsys, "sample", "no/such/run")
    assert (code, out) == quiet[:2] == (2, "")
    assert err.startswith("Traceback (most recent call last)")
    assert err.endswith(quiet[2])


def test_an_error_is_painted_in_a_terminal_alone(capsys, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain = told(capsys, "sample", "no/such/run")[2]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert told(capsys, "sample", "no/such/run")[2] == (
        "\x1b[1;31merror: \x1b[0m" + plain.removeprefix("error: ")
    )
    monkeypatch.setenv("NO_COLOR", "1")
    assert told(capsys, "sample", "no/such/run")[2] == plain


def test_a_strangers_pickle_runs_no_code(capsys, tmp_path, run):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "opened"), "w"))

    file = run / "checkpoints" / "best.ckpt"
    whole = file.read_bytes()
    torch.save({"state_dict": {}, "charlab": Hostile()}, file)
    try:
        exit_code, _, err = told(capsys, "sample", str(run))
    finally:
        file.write_bytes(whole)
    assert exit_code == 2
    assert "cannot be read" in err
    assert not (tmp_path / "opened").exists()


def test_temperature_0_draws_the_same_text_each_time(capsys, run):
    _, out, _ = told(capsys, "sample", str(run), "-n", "3", "-t", "0")
    assert len(set(out.splitlines())) == 1


def test_data_shows_what_is_in_the_corpus(capsys, tmp_path):
    picture = tmp_path / "lengths.png"
    exit_code, out, _ = told(capsys, "data", "names", "-o", str(picture))
    assert exit_code == 0
    assert f"{len(BUNDLED.read_text('utf-8').splitlines()):,} distinct" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
