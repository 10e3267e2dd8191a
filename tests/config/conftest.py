"""A command line run in this process, on the shipped conf/ or on a copy to make mistakes in."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from omegaconf import DictConfig

from charlab.config.entry import main
from charlab.resume import Asked

ROOT = Path(__file__).parents[2]


@dataclass
class Result:
    exit_code: int
    out: str
    err: str
    jobs: list[tuple[DictConfig, list[str]]] = field(default_factory=list)

    @property
    def config(self) -> DictConfig:
        """The configuration of the one job that ran."""
        assert self.exit_code == 0, self.err
        ((config, _),) = self.jobs
        return config


CommandLine = Callable[..., Result]


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def conf_copy(tmp_path: Path) -> Path:
    return shutil.copytree(ROOT / "conf", tmp_path / "conf")


@pytest.fixture
def command_line(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """`command_line("model=lstm", folder=...)`: conf/ is taken from `folder`."""

    def run(*argv: str, folder: Path = ROOT) -> Result:
        jobs: list[tuple[DictConfig, list[str]]] = []

        def job(config: DictConfig, overrides: Sequence[str], asked: Asked) -> None:
            jobs.append((config, list(overrides)))

        capsys.readouterr()
        exit_code = main(argv, job, folder / "train.py")
        out, err = capsys.readouterr()
        return Result(exit_code, out, err, jobs)

    return run
