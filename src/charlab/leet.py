"""`charlab leet`: W&B's own terminal dashboard on run directories. Imports nothing heavy.

The dashboard takes one folder with the files of W&B in it; they are in a folder of each run.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from charlab.arguments import ROOT, RUNS
from charlab.errors import UsageError
from charlab.reading.find import runs_named


@click.command("leet", short_help="Look at runs with W&B's terminal dashboard.")
@RUNS
@ROOT
def leet_command(words: Sequence[str], root: Path) -> None:
    """Look at runs in the terminal with `wandb leet`, without a server.

    RUNS are run directories, folders of them, globs or groups; without any, all that there are. It
    shows offline and online runs, also while they are trained; a run that was stopped and
    went on has a line for each part.
    """
    found = runs_named(words, root)
    with tempfile.TemporaryDirectory(prefix="charlab-leet-") as folder:
        if link_runs(found, Path(folder)) == 0:
            raise _nothing_to_show(sum((run / "run.json").exists() for run in found))
        if not sys.stdout.isatty():
            raise UsageError(
                "the dashboard needs a terminal",
                expected="an output that it can draw on",
                got="a file or a pipe",
                hint="charlab runs",
            )
        sys.exit(subprocess.run([sys.executable, "-m", "wandb", "leet", folder]).returncode)


def _nothing_to_show(num_runs: int) -> UsageError:
    if num_runs == 0:
        return UsageError(
            "there are no runs here",
            expected="a folder with run directories",
            got="none",
            hint="python train.py makes a run; --root says where the groups are",
        )
    return UsageError(
        "these runs have no files of W&B",
        expected="runs with logger.wandb.mode=auto, online or offline",
        got=f"W&B disabled in {num_runs:,} run(s)",
        hint="logger.wandb.mode=offline for the next run; charlab runs shows these",
    )


def link_runs(runs: Sequence[Path], folder: Path) -> int:
    """A folder with a link to each file of W&B of the runs, called after the run; how many.

    The dashboard takes those alone that have the form of W&B's own: run-DATE_TIME-NAME, and in it
    run-NAME.wandb.
    """
    files = [(run, file) for run in runs for file in run.glob("wandb/*run-*/*.wandb")]
    for run, file in files:
        time = file.parent.name.split("-")[-2]
        number = 1
        while (inner := folder / f"run-{time}-{run.name}{'' if number == 1 else number}").exists():
            number += 1  # the same configuration in another group, begun in the same second
        inner.mkdir()
        (inner / f"run-{inner.name.partition(f'{time}-')[2]}.wandb").symlink_to(file.resolve())
    return len(files)
