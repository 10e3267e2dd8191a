"""Weights & Biases: the only importer of wandb.

Nothing here asks, waits long, or needs an account: without credentials, or where the server
cannot be reached in automatic mode, the run is kept offline in its run directory.
"""

import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

import wandb
from pytorch_lightning.loggers import WandbLogger
from wandb.errors import AuthenticationError, CommError
from wandb.errors import UsageError as WandbUsageError

from charlab.config.schema_output import WandbConfig
from charlab.errors import UsageError
from charlab.runs import Run

Mode = Literal["online", "offline", "disabled"]
MODES: tuple[Mode, ...] = ("online", "offline", "disabled")


def resolve_mode(asked: str) -> Mode:
    """What "auto" means here: WANDB_MODE if set, else online with credentials, else offline."""
    wanted = os.environ.get("WANDB_MODE", "auto") if asked == "auto" else asked
    for mode in MODES:
        if wanted == mode:
            return mode
    try:
        logged_in = wandb.login(prompt=False, verify=False)
    except (AuthenticationError, WandbUsageError):
        logged_in = False
    return "online" if logged_in else "offline"


@final
class Tracking:
    """The W&B run of one training run; `logger` is None where W&B is disabled."""

    def __init__(self, config: WandbConfig, run: Run) -> None:
        self.mode = resolve_mode(config.mode)
        # under `wandb agent` the server has named the run already
        self.id = os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
        self.logger: WandbLogger | None = None
        if self.mode == "disabled":
            return
        try:
            experiment = self._start(config, run)
        except CommError as error:
            if config.mode != "auto":
                raise UsageError(
                    f"W&B could not be reached: {error}",
                    expected="a server that answers within 10 s",
                    hint="logger.wandb.mode=auto goes offline by itself, offline never asks",
                    option="logger.wandb.mode",
                ) from error
            self.mode = "offline"
            experiment = self._start(config, run)
        experiment.define_metric("trainer/global_step")
        experiment.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        self.logger = WandbLogger(experiment=experiment, project=config.project)
        run.update(wandb={"id": self.id, "project": config.project, "mode": self.mode})

    def _start(self, config: WandbConfig, run: Run) -> wandb.Run:
        return wandb.init(
            project=config.project,
            entity=config.entity,
            tags=config.tags,
            name=run.path.name,
            group=run.path.parent.name,
            id=self.id,
            dir=str(run.path),
            mode="online" if self.mode == "online" else "offline",
            settings=wandb.Settings(
                init_timeout=10,
                finish_timeout=10,
                # a killed process loses about a second of rows instead of fifteen
                x_transaction_log_flush_interval=1.0,
                console="off",
                silent=True,
            ),
        )

    def samples_table(self, rows: Sequence[Mapping[str, Any]], step: int) -> None:
        """Log samples (all with the same keys) as a table of the step."""
        if self.logger is not None and rows:
            columns = list(rows[0])
            data = [[row[column] for column in columns] for row in rows]
            self.logger.log_table("samples", columns=columns, data=data, step=step)

    def summarise(self, entries: Mapping[str, Any]) -> None:
        if self.logger is not None:
            self.logger.experiment.summary.update(dict(entries))

    def finish(self, exit_code: int) -> None:
        """End the W&B run; a failed run is marked as failed, which finish() alone would not do."""
        if self.logger is not None:
            self.logger.experiment.finish(exit_code=exit_code)
