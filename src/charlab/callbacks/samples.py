"""Draws samples while training, without touching the training."""

from collections.abc import Callable, Sequence
from typing import Any, final

from pytorch_lightning import Callback, LightningModule, Trainer

from charlab.callbacks.clock import TrainClock
from charlab.config.schema_output import SamplesConfig
from charlab.lit import CharLitModule
from charlab.sampling import Codec, Sample, sample, sample_generator

# takes the samples of one draw and its step
Sink = Callable[[Sequence[Sample], int], None]


@final
class Samples(Callback):
    """Samples every config.every_n_steps steps and after each validation, once a step.

    Every config.long_every_n_steps steps they are long ones.

    Each draw has a generator seeded by (config.seed, step): a draw does not depend on the ones
    before it, and the global generators are left alone.
    """

    def __init__(
        self, config: SamplesConfig, codec: Codec, clock: TrainClock, sinks: Sequence[Sink]
    ) -> None:
        self.config = config
        self.codec = codec
        self.clock = clock
        self.sinks = sinks
        self._last_step = -1

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % self.config.every_n_steps == 0 or self._is_long(trainer):
            self._draw(trainer, module)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._draw(trainer, module)

    def _is_long(self, trainer: Trainer) -> bool:
        every = self.config.long_every_n_steps
        return every is not None and trainer.global_step % every == 0

    def _draw(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, CharLitModule)
        step = trainer.global_step
        if step == self._last_step or not trainer.is_global_zero:
            return
        self._last_step = step
        config = self.config
        self.clock.stop()
        drawn = sample(
            module.model,
            self.codec,
            sample_generator(config.seed, step, module.device),
            prompts=config.prompts,
            temperatures=config.temperatures,
            num_samples=config.num_samples,
            max_length=config.long_max_length if self._is_long(trainer) else config.max_length,
            top_k=config.top_k,
            top_p=config.top_p,
        )
        for sink in self.sinks:
            sink(drawn, step)
