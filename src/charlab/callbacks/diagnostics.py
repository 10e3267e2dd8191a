"""Measures at validations how the model uses its memory, without touching the training."""

from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from charlab.callbacks.clock import TrainClock
from charlab.config.schema_output import DiagnosticsConfig
from charlab.diagnostics.measure import measure
from charlab.lit import CharLitModule
from charlab.types import Batch

# takes a row of diagnostics.jsonl
RowSink = Callable[[Mapping[str, Any]], None]


@final
class DiagnosticsLog(Callback):
    """Logs diagnostics/memory_steps and diagnostics/saturated, and hands all of it to `sink`.

    At validations that are at least config.every_n_steps steps apart, on the same batch each time,
    which nothing else has; in the first process alone.
    """

    def __init__(
        self, config: DiagnosticsConfig, probe: Batch, clock: TrainClock, sink: RowSink
    ) -> None:
        self.every_n_steps = config.every_n_steps
        self.probe = probe
        self.clock = clock
        self.sink = sink
        self._measured_step: int | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"measured_step": self._measured_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._measured_step = state_dict["measured_step"]

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, CharLitModule)
        step = trainer.global_step
        if self._measured_step is not None and step - self._measured_step < self.every_n_steps:
            return
        self._measured_step = step
        if not trainer.is_global_zero:
            return
        self.clock.stop()
        with torch.inference_mode(False):
            probe = Batch(*(tensor.to(module.device) for tensor in self.probe))
        found = measure(module.model, probe)
        self.sink({"step": step} | found.row)
        for logger in trainer.loggers:
            logger.log_metrics(found.metrics, step=step)
