"""Drawing text from a model: one recurrent step a character, all samples side by side.

A prompt is read once, as one chunk; the state then moves a character at a time and the prefix is
never read again. Draws come from a generator of their own, so sampling during training changes
nothing about the training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Generator, Tensor

from charlab.errors import TrainingDiverged
from charlab.types import ModelState


class StepModel(Protocol):
    """What sampling needs of a model."""

    training: bool

    def initial_state(self, batch_size: int) -> ModelState: ...
    def __call__(self, tokens_TB: Tensor, state: ModelState) -> tuple[Tensor, ModelState]: ...
    def eval(self) -> object: ...
    def train(self, mode: bool = True) -> object: ...


class Codec(Protocol):
    """What sampling needs of a vocabulary; eos_id ends a text, where there is such a symbol."""

    @property
    def eos_id(self) -> int | None: ...
    @property
    def unsampled_ids(self) -> Sequence[int]: ...
    def clean_prompt(self, prompt: str) -> str: ...
    def prompt_ids(self, prompt: str) -> list[int]: ...
    def decode(self, ids: Sequence[int]) -> str: ...


@final
@dataclass(frozen=True)
class Sample:
    """One text drawn. `ended` is false where it was cut at the longest length."""

    prompt: str
    temperature: float
    text: str
    ended: bool


@final
@dataclass(frozen=True)
class Filter:
    """What may be drawn; None leaves a filter out.

    top_k  the k likeliest symbols (Fan et al. 2018)
    top_p  the likeliest symbols that together hold this mass (Holtzman et al. 2020)
    """

    top_k: int | None = None
    top_p: float | None = None

    def __call__(self, logits_NV: Tensor) -> Tensor:
        if self.top_k is not None and self.top_k < logits_NV.shape[1]:
            kth_N1 = logits_NV.topk(self.top_k).values[:, -1:]
            logits_NV = logits_NV.masked_fill(logits_NV < kth_N1, -torch.inf)
        if self.top_p is not None and self.top_p < 1:  # at 1, rounding would cut a tail
            sorted_NV, order_NV = logits_NV.sort(descending=True)
            probs_NV = sorted_NV.softmax(-1)
            # a symbol stays if the mass before it is still short of top_p; the first always stays.
            # On the CPU: a GPU's cumsum is not deterministic, and refused where all has to be
            mass_NV = probs_NV.cpu().cumsum(-1).to(probs_NV.device)
            cut_NV = mass_NV - probs_NV >= self.top_p
            cut_NV[:, 0] = False
            cut_NV = torch.empty_like(cut_NV).scatter_(1, order_NV, cut_NV)
            logits_NV = logits_NV.masked_fill(cut_NV, -torch.inf)
        return logits_NV


@torch.inference_mode()
def sample(
    model: StepModel,
    codec: Codec,
    generator: Generator,
    *,
    prompts: Sequence[str] = ("",),
    temperatures: Sequence[float] = (1.0,),
    num_samples: int = 1,
    max_length: int = 100,
    top_k: int | None = None,
    top_p: float | None = None,
) -> list[Sample]:
    """num_samples texts for each prompt at each temperature, in that order.

    `text` holds the prompt and at most max_length characters after it. Temperature 0 takes the
    likeliest symbol. The vocabulary cleans prompts as the data were cleaned. generator lives on the
    model's device. The model comes back in the mode it was in.
    Raises TrainingDiverged where the model gives NaN.
    """
    was_training = model.training
    model.eval()
    device = generator.device
    rows = len(temperatures) * num_samples
    try:
        primed = [_read(model, codec, prompt, rows, device) for prompt in prompts]
        logits_NV = torch.cat([logits for logits, _ in primed])
        state = _join([state for _, state in primed])
        temperature_N = (
            torch.tensor(temperatures, device=device)
            .repeat_interleave(num_samples)
            .repeat(len(prompts))
        )
        ids_NL = _continue(
            model,
            codec,
            generator,
            logits_NV,
            state,
            temperature_N,
            max_length,
            Filter(top_k, top_p),
        )
    finally:
        model.train(was_training)
    labels = [(prompt, t) for prompt in prompts for t in temperatures for _ in range(num_samples)]
    return [
        Sample(prompt, t, *_text(codec, prompt, ids))
        for (prompt, t), ids in zip(labels, ids_NL.tolist(), strict=True)
    ]


def _read(
    model: StepModel, codec: Codec, prompt: str, rows: int, device: torch.device
) -> tuple[Tensor, ModelState]:
    ids_T1 = torch.tensor(codec.prompt_ids(prompt), dtype=torch.int64, device=device)[:, None]
    logits_TNV, state = model(ids_T1.expand(-1, rows).contiguous(), model.initial_state(rows))
    return logits_TNV[-1], state


def _join(states: Sequence[ModelState]) -> ModelState:
    return tuple(
        type(layers[0])(*(torch.cat(parts) for parts in zip(*layers, strict=True)))
        for layers in zip(*states, strict=True)
    )


def _continue(
    model: StepModel,
    codec: Codec,
    generator: Generator,
    logits_NV: Tensor,
    state: ModelState,
    temperature_N: Tensor,
    max_length: int,
    keep: Filter,
) -> Tensor:
    """Ids drawn, [N, at most max_length]; what follows a row's end is to be ignored."""
    banned = torch.tensor(list(codec.unsampled_ids), device=logits_NV.device, dtype=torch.int64)
    greedy_N = temperature_N == 0
    scale_N1 = torch.where(greedy_N, 1.0, temperature_N)[:, None]
    ended_N = torch.zeros_like(greedy_N)
    drawn: list[Tensor] = []
    while True:
        if not bool(logits_NV.isfinite().all()):
            raise TrainingDiverged(
                "there is nothing to sample: the model's logits are not finite",
                expected="a model whose training did not diverge",
                hint="a lower optimizer.lr, or a smaller trainer.gradient_clip",
            )
        logits_NV = logits_NV.float().index_fill(1, banned, -torch.inf)
        # the likeliest at 0, so that a tiny temperature divides into -inf, not into inf
        logits_NV = logits_NV - logits_NV.max(-1, keepdim=True).values
        probs_NV = keep(logits_NV / scale_N1).softmax(-1)
        ids_N = torch.multinomial(probs_NV, 1, generator=generator)[:, 0]
        ids_N = torch.where(greedy_N, logits_NV.argmax(-1), ids_N)
        drawn.append(ids_N)
        if codec.eos_id is not None:
            ended_N |= ids_N == codec.eos_id
        if len(drawn) == max_length or bool(ended_N.all()):
            break
        logits_1NV, state = model(ids_N[None], state)
        logits_NV = logits_1NV[0]
    return torch.stack(drawn, 1)


def _text(codec: Codec, prompt: str, ids: Sequence[int]) -> tuple[str, bool]:
    ended = codec.eos_id in ids
    kept = ids[: ids.index(codec.eos_id)] if ended and codec.eos_id is not None else ids
    return codec.clean_prompt(prompt) + codec.decode(kept), ended
