"""train.py as a process: exit codes, streams, and what is never imported before the job."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Python runs this before anything else: importing what is slow fails at once.
BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "pytorch_lightning", "lightning", "wandb", "rich"}:
            raise AssertionError(f"imported {name}")

sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture
def train(tmp_path):
    """train.py where nothing slow can be imported, in a folder of its own."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BLOCKER)
    (tmp_path / "cwd").mkdir()

    def run(*argv, **variables):
        path = os.pathsep.join([str(tmp_path / "site"), str(ROOT / "src")])
        result = subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *argv],
            capture_output=True,
            text=True,
            cwd=tmp_path / "cwd",
            env=os.environ | {"PYTHONPATH": path} | variables,
            timeout=60,
        )
        assert list((tmp_path / "cwd").iterdir()) == []
        return result

    return run


def test_the_blocker_works(train):
    """The job itself does import torch: otherwise the tests below prove nothing."""
    result = train()
    assert result.returncode == 1
    assert "imported " in result.stderr


@pytest.mark.parametrize(
    "argv",
    [
        ["model.hiden_size=3"],
        pytest.param(["data.path=no/such/file"], marks=pytest.mark.slow),
        pytest.param(["-m", "model.hidden_size=1,0"], marks=pytest.mark.slow),
    ],
)
def test_mistakes(train, argv):
    result = train(*argv)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert "\x1b" not in result.stderr


def test_help_and_cfg(train):
    result = train("--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("charlab ")
    result = train("--cfg", "job", "model=lstm")
    assert (result.returncode, result.stderr) == (0, "")
    assert "cell: lstm" in result.stdout


def test_info_and_completion(train):
    result = train("--info", "defaults-tree", "model=lstm")
    assert (result.returncode, result.stderr) == (0, "")
    assert "model: lstm" in result.stdout
    line = "python train.py model="
    result = train("-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
    assert (result.returncode, result.stderr) == (0, "")
    assert {"model=gru", "model=custom_gru"} <= set(result.stdout.split())
