"""The W&B run of a training run, from its start to its end."""

import os
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import wandb
from numpy.typing import NDArray

from charlab.config.schema_output import WandbConfig
from charlab.errors import UsageError
from charlab.runs import Run
from charlab.tracking.artifact import checkpoint_artifact
from charlab.tracking.logger import RunCopy
from charlab.tracking.mode import Mode, resolve_mode
from charlab.tracking.service import forget_service, use_own_service
from charlab.tracking.summary import best_and_final

# (numbers in the bins, the edges of the bins), as numpy gives it
Histogram = tuple[NDArray[Any], NDArray[Any]]

# for W&B to close its file, where there is no server: seconds on a busy machine alone
OFFLINE_S = 60.0


@final
class Tracking:
    """The W&B run of one training run; `logger` is None where W&B is disabled.

    It is disabled in a process that does not write the run: one run of ours is one of W&B's.

    note  why the run is offline although there are credentials, or disabled although nobody
          asked for that; empty otherwise
    """

    def __init__(self, config: WandbConfig, run: Run) -> None:
        before: Mapping[str, Any] = run.record.get("wandb") or {}
        self.mode: Mode = (
            resolve_mode(config.mode, before.get("mode")) if run.writes else "disabled"
        )
        self.note = ""
        # under `wandb agent` the server has named the run already
        self.id = str(os.environ.get("WANDB_RUN_ID") or before.get("id") or secrets.token_hex(4))
        self.logger: RunCopy | None = None
        self._config = config
        self._run = run
        if self.mode != "disabled":
            experiment = self._begin()
            if experiment is not None:
                self.logger = RunCopy(experiment, config.project, run)

    def _begin(self) -> wandb.Run | None:
        """None where W&B cannot be started at all, if nobody has asked for a mode.

        Raises UsageError where it cannot be started as it was asked to.
        """
        while self.mode != "disabled":
            self._record()
            earlier = set(self._folders())
            try:
                return self._start()
            except Exception as error:  # whatever the server or the disk does, training goes on
                if self._config.mode != "auto":
                    raise UsageError(
                        f"W&B could not be started: {error}",
                        expected=f"a server that answers within {self._config.timeout_s:g} s, "
                        "a WANDB_RUN_ID that it takes, a folder that can be written",
                        hint="logger.wandb.mode=offline needs no server, disabled no W&B",
                        option="logger.wandb.mode",
                    ) from error
                self._fall_back(error)
            forget_service()  # it would not have the same id twice
            for empty in set(self._folders()) - earlier:
                shutil.rmtree(empty, ignore_errors=True)
        self._record()
        return None

    def _fall_back(self, error: Exception) -> None:
        if self.mode == "online":
            self.mode, self.note = "offline", "the server did not answer"
        else:
            self.mode, self.note = "disabled", f"W&B could not be started: {error}"

    def _folders(self) -> Iterable[Path]:
        """Those of W&B in the run directory, one of each start."""
        return self._run.path.glob("wandb/*run-*")

    def _record(self) -> None:
        """In run.json before W&B has it, so that no kill can make two runs of one."""
        self._run.update(wandb={"id": self.id, "project": self._config.project, "mode": self.mode})

    def _start(self) -> wandb.Run:
        config, run = self._config, self._run
        use_own_service()
        return wandb.init(
            project=config.project,
            entity=config.entity,
            group=run.path.parent.name,
            job_type="train",
            tags=config.tags,
            name=run.path.name,
            id=self.id,
            resume="allow" if run.num_resumed > 0 else None,
            dir=str(run.path),
            mode="online" if self.mode == "online" else "offline",
            settings=wandb.Settings(
                init_timeout=config.timeout_s,
                finish_timeout=config.timeout_s,
                # a killed process loses a second or two of rows instead of fifteen
                x_transaction_log_flush_interval=1.0,
                x_file_stream_transmit_interval=2.0,
                console="off",
                silent=True,
            ),
        )

    def samples_table(self, rows: Sequence[Mapping[str, Any]], step: int) -> None:
        """Log samples (all with the same keys) as a table of the step."""
        logger = self.logger
        if logger is not None and rows:
            columns: list[str | int] = list(rows[0])
            data = [list(row.values()) for row in rows]
            logger.attempt(lambda: logger.log_slowly({"samples": wandb.Table(columns, data)}, step))

    def show_histograms(self, histograms: Mapping[str, Histogram], step: int) -> None:
        """Log histograms of the step, by name."""
        logger = self.logger
        if logger is not None:
            items = histograms.items()
            logger.attempt(
                lambda: logger.log_metrics(
                    {name: wandb.Histogram(np_histogram=one) for name, one in items}, step
                )
            )

    def show_images(self, images: Mapping[str, Path]) -> None:
        """Log PNG files as plots/NAME, at the step of the last row."""
        if self.logger is not None and images:
            made = {f"plots/{name}": wandb.Image(str(path)) for name, path in images.items()}
            self.logger.log_metrics(made, self.logger.step)

    def summarise(self, scores: Mapping[str, float]) -> None:
        """The summary of a run that is at its end; `scores` are those of its best checkpoint."""
        if self.logger is not None:
            self.logger.summarise(best_and_final(self._run, scores))

    def keep_checkpoint(self, scores: Mapping[str, float]) -> None:
        """Send the best checkpoint as an artifact; with logger.wandb.checkpoint.

        It is sent in the background, and what is not sent when the run ends stays where it is.
        """
        logger = self.logger
        if logger is not None and self._config.checkpoint:
            logger.attempt_slowly(lambda: self._send_checkpoint(logger.experiment, scores))

    def _send_checkpoint(self, experiment: wandb.Run, scores: Mapping[str, float]) -> None:
        artifact = checkpoint_artifact(self._run, scores)
        if artifact is not None:
            experiment.log_artifact(artifact, aliases=["best", "latest"])

    def finish(self, exit_code: int, *, goes_on: bool = False) -> None:
        """End the W&B run; a failed run is marked as failed, which finish() alone would not do.

        goes_on  this process ends, the run does not: W&B is to show it as preempted
        """
        if self.logger is not None:
            wait_s = self._config.timeout_s if self.mode == "online" else OFFLINE_S
            self.logger.finish(exit_code, wait_s, goes_on=goes_on)
