"""What W&B gets of a run while it trains: its configuration, and rows that have three x axes."""

import sys
from collections.abc import Callable, Mapping
from typing import Any, final

import wandb
from pytorch_lightning.loggers import WandbLogger

from charlab.reading.row_files import last_step
from charlab.runs import Run
from charlab.tracking.sender import Sender
from charlab.tracking.service import forget_service, kill_service
from charlab.tracking.summary import best_validation, facts

STEP, CHARS_SEEN, SECONDS = "trainer/global_step", "progress/chars_seen", "progress/seconds"

# at the end, for what waits for the server; with timeout_s twice it makes less than 15 s
HAND_OVER_S = 2.0


@final
class RunCopy(WandbLogger):
    """Each row has the step, the characters and the seconds of its row in metrics.jsonl.

    The summary has the best validation as soon as there is one. Nothing here raises what W&B does:
    the first error is told. Where W&B's own process is lost, no more is sent.

    step  that of the last row
    """

    def __init__(self, experiment: wandb.Run, project: str, run: Run) -> None:
        super().__init__(experiment=experiment, project=project)
        self.chars_seen: Callable[[], int] = lambda: 0
        self.step = last_step(run.path) or 0
        self._run = run
        self._best_bpc = best_validation(run)
        self._sender = Sender()
        self._has_told = False
        self._is_lost = False
        self.attempt(lambda: _define_axes(experiment))

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:  # type: ignore[override]
        """The resolved configuration, and below "record" what run.json says of code and data."""
        self.attempt(
            lambda: super(RunCopy, self).log_hyperparams({**params, "record": facts(self._run)})
        )

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        assert step is not None
        self.attempt(self._row(metrics, step))
        bpc = metrics.get("val/bpc")
        if bpc is not None and bpc < self._best_bpc:
            self._best_bpc = bpc
            best = {f"best/{name}": value for name, value in metrics.items() if "val/" in name}
            self.summarise({**best, "best/step": step})

    def log_slowly(self, metrics: Mapping[str, Any], step: int) -> None:
        """A row with a table: online, W&B's client asks the server about it, and waits."""
        self.attempt_slowly(self._row(metrics, step))

    def _row(self, metrics: Mapping[str, Any], step: int) -> Callable[[], None]:
        """What logs metrics of now."""
        self.step = step
        place = {CHARS_SEEN: self.chars_seen(), SECONDS: round(self._run.seconds, 3)}
        return lambda: super(RunCopy, self).log_metrics({**place, **metrics}, step)

    def summarise(self, entries: Mapping[str, Any]) -> None:
        self.attempt(lambda: self.experiment.summary.update(dict(entries)))

    def attempt_slowly(self, action: Callable[[], object]) -> None:
        """As `attempt`, some time later."""
        self._sender.send(lambda: self.attempt(action))

    def attempt(self, action: Callable[[], object]) -> None:
        """Do it, and tell what comes of it where that is the first error of all."""
        if self._is_lost:
            return
        try:
            action()
        except ConnectionError as error:  # between W&B's client and its process on this machine
            self._is_lost = True
            self._tell("W&B's process has ended, and gets no more", error)
        except Exception as error:  # the others of W&B have no class in common
            self._tell("W&B did not take all that was logged", error)

    def _tell(self, what: str, error: Exception) -> None:
        if self._has_told:
            return
        self._has_told = True
        told = " ".join(str(error).split()) or type(error).__name__
        print(f"note: {what} ({told}); the run directory has everything", file=sys.stderr)

    def finish(self, exit_code: int, timeout_s: float, *, goes_on: bool) -> None:
        """Within about 2 s, for what `attempt_slowly` has not done yet, and timeout_s."""
        self._sender.close(HAND_OVER_S)
        if goes_on:
            self.attempt(self.experiment.mark_preempting)
        # W&B's own time limit does not hold for artifacts that are being sent
        last = Sender()
        last.send(lambda: self.attempt(lambda: self.experiment.finish(exit_code=exit_code)))
        if not last.close(timeout_s + 0.5):
            self._tell("W&B's server has not taken all", TimeoutError("it does not answer"))
            kill_service()
            self._is_lost = True
        if self._is_lost:
            forget_service()


def _define_axes(experiment: wandb.Run) -> None:
    for axis in (STEP, CHARS_SEEN, SECONDS):
        experiment.define_metric(axis)
    experiment.define_metric("*", step_metric=STEP, step_sync=True)
