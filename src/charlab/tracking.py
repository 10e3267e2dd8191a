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
from wandb.errors import AuthenticationError
from wandb.errors import UsageError as WandbUsageError

from charlab.config.schema_output import WandbConfig
from charlab.errors import UsageError
from charlab.runs import Run

Mode = Literal["online", "offline", "disabled"]
MODES: tuple[Mode, ...] = ("online", "offline", "disabled")


def resolve_mode(asked: str) -> Mode:
    """What "auto" means here: WANDB_MODE if set, else online with credentials, else offline.

    Raises UsageError for an unknown WANDB_MODE, and for online without credentials: W&B itself
    would ask for them.
    """
    wanted = os.environ.get("WANDB_MODE", "auto") if asked == "auto" else asked
    if wanted not in ("auto", *MODES):
        raise UsageError(
            f"WANDB_MODE={wanted} is not a mode",
            expected=f"one of {', '.join(MODES)}, or the variable unset",
            got=wanted,
            option="logger.wandb.mode",
        )
    if wanted == "disabled":
        return "disabled"
    if wanted == "offline":
        return "offline"
    if has_credentials():
        return "online"
    if wanted == "online":
        raise UsageError(
            "W&B cannot be online without credentials",
            expected="a key in WANDB_API_KEY, or from `wandb login`",
            got="neither",
            hint="logger.wandb.mode=auto goes offline by itself",
            option="logger.wandb.mode",
        )
    return "offline"


def has_credentials() -> bool:
    """True where W&B finds a key; asks nobody."""
    try:
        return bool(wandb.login(prompt=False, verify=False))
    except (AuthenticationError, WandbUsageError):
        return False


@final
class Tracking:
    """The W&B run of one training run; `logger` is None where W&B is disabled.

    It is disabled in a process that does not write the run: one run of ours is one of W&B's.

    note  why the run is offline although there are credentials, empty otherwise
    """

    def __init__(self, config: WandbConfig, run: Run) -> None:
        self.mode: Mode = resolve_mode(config.mode) if run.writes else "disabled"
        self.note = ""
        # under `wandb agent` the server has named the run already
        before = str(run.record.get("wandb", {}).get("id", ""))
        self.id = os.environ.get("WANDB_RUN_ID") or before or secrets.token_hex(4)
        self.logger: WandbLogger | None = None
        if self.mode == "disabled":
            return
        try:
            experiment = self._start(config, run)
        except Exception as error:  # whatever the server or the network does, training goes on
            if config.mode != "auto" or self.mode == "offline":
                raise UsageError(
                    f"W&B could not be started: {error}",
                    expected="a server that answers within 10 s, a WANDB_RUN_ID that it takes",
                    hint="logger.wandb.mode=offline needs no server, disabled no W&B",
                    option="logger.wandb.mode",
                ) from error
            self.mode, self.note = "offline", "the server did not answer"
            if self.id != before:
                self.id = secrets.token_hex(4)  # the attempt has used the other one up
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
            resume="allow" if run.num_resumed > 0 else None,
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

    def finish(self, exit_code: int, *, goes_on: bool = False) -> None:
        """End the W&B run; a failed run is marked as failed, which finish() alone would not do.

        goes_on  this process ends, the run does not: W&B is to show it as preempted
        """
        if self.logger is not None:
            if goes_on:
                self.logger.experiment.mark_preempting()
            self.logger.experiment.finish(exit_code=exit_code)
