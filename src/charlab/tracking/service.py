"""The process that W&B's client starts beside ours: one of our own, also where it does not end."""

import os
from contextlib import suppress

import wandb


def use_own_service() -> None:
    """Have W&B start a process for us, where ours was started by one that has its own.

    A child would share that of its parent: it could neither be killed nor forgotten. It sends what
    a run logs, and no reports about itself, unless WANDB_ERROR_REPORTING asks for them.
    """
    # both are read once, when W&B is set up
    os.environ.pop("WANDB_SERVICE", None)
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")


def kill_service() -> None:
    """Kill it: it may try for hours to reach a server, and W&B waits for it when we end.

    What it was given is in its file by then.
    """
    # W&B has no public name for it
    connection = wandb.setup()._connection
    if connection is not None and connection._proc is not None:
        connection._proc._process.kill()


def forget_service() -> None:
    """Part from it, without a traceback or its exit code as ours where it is no more."""
    with suppress(ConnectionError, SystemExit):
        wandb.teardown()
