"""`charlab resume RUN`: train.py for a run that has begun. Imports nothing heavy."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

import charlab
from charlab.arguments import OVERRIDES, RUN
from charlab.errors import UsageError
from charlab.resume import Asked

SCRIPT = Path(charlab.__file__).parents[2] / "train.py"


@click.command("resume", short_help="Go on with a run, or train it for longer.")
@RUN
@OVERRIDES
def resume_command(run: Path, overrides: Sequence[str]) -> None:
    """Go on with a run that was interrupted or that failed, or train one for longer.

    To the bit, what comes of it is what would have come without the interruption. Options may say
    where things are, what is shown and what is kept: paths.*, data.path, logger.*,
    callbacks.checkpoint.*, callbacks.progress.*. A larger trainer.max_steps or trainer.max_epochs
    extends the run, a finished one too: from where it is, its learning rate is that of a run of the
    new length. Others would make it another run.
    """
    from charlab.data.check import check_data_config
    from charlab.run_config import config_to_go_on

    config, extends = config_to_go_on(run, overrides)
    check_data_config(config.data)
    _train()(config, overrides, Asked(run=run, extends=extends))


def _train() -> Callable[..., None]:
    """The function of the script that composes a run, which is not in the package."""
    if not SCRIPT.exists():
        raise UsageError(
            f"there is no {SCRIPT}",
            expected="charlab installed from its checkout, as `make install` does",
            got=f"a package in {SCRIPT.parent}",
            hint="make install, in the checkout",
        )
    spec = importlib.util.spec_from_file_location("train", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    train: Callable[..., None] = script.train
    return train
