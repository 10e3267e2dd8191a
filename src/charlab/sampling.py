"""Drawing text from a model: one recurrent step a character, all samples side by side.

A prompt is read once, as one chunk; the state then moves a character at a time and the prefix is
never read again. Draws come from a generator of their own, so sampling during training changes
nothing about the training.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
import torch
from torch import Generator, Tensor

from charlab.errors import TrainingDiverged
from charlab.types import ModelState

# Most characters, and most logits, between two looks at whether the logits are finite.
CHECK_EVERY, CHECK_AT_ONCE = 64, 2**20
NOISE_AT_ONCE = 2**14  # random numbers made together: few steps of many rows, many steps of few


class StepModel(Protocol):
    """What sampling needs of a model."""

    training: bool

    def initial_state(self, batch_size: int) -> ModelState: ...
    def __call__(self, tokens_TB: Tensor, state: ModelState) -> tuple[Tensor, ModelState]: ...
    def stepper(self, state: ModelState) -> Callable[[Tensor], Tensor]: ...
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


@final
class _Draw:
    """An id for every row of logits, one temperature a row."""

    def __init__(
        self, codec: Codec, temperatures: Sequence[float], keep: Filter, device: torch.device
    ) -> None:
        self.keep = keep
        self.banned = torch.tensor(list(codec.unsampled_ids), dtype=torch.int64, device=device)
        self.greedy_N = torch.tensor([t == 0 for t in temperatures], device=device)
        self.scale_N1 = torch.tensor([t or 1.0 for t in temperatures], device=device)[:, None]
        self.has_banned = len(self.banned) > 0
        self.has_greedy = 0 in temperatures
        self.is_plain = keep == Filter() and set(temperatures) <= {0, 1}

    def __call__(self, logits_NV: Tensor, noise_NV: Tensor) -> Tensor:
        """Ids [N]. The noise is Exp(1): of clocks that ring after noise / p, v is first by p[v].

        torch.multinomial draws the same, but checks p first, which takes longer than all of this.
        """
        if self.has_banned:
            logits_NV = logits_NV.index_fill(1, self.banned, -torch.inf)
        if self.is_plain:
            probs_NV = logits_NV.softmax(-1)
        else:
            # the likeliest at 0, so that a tiny temperature divides into -inf, not into inf
            logits_NV = logits_NV - logits_NV.amax(-1, keepdim=True)
            probs_NV = self.keep(logits_NV / self.scale_N1).softmax(-1)
        ids_N = (probs_NV / noise_NV).argmax(-1)
        return torch.where(self.greedy_N, logits_NV.argmax(-1), ids_N) if self.has_greedy else ids_N


def _noise(like_NV: Tensor, num_steps: int, generator: Generator) -> Iterator[Tensor]:
    """Exp(1) numbers [N, V] for each step, from the generator as `exponential_` takes them."""
    if like_NV.device.type != "cpu":
        for _ in range(num_steps):
            yield torch.empty_like(like_NV).exponential_(generator=generator)
        return
    at_once = max(1, NOISE_AT_ONCE // like_NV.numel())
    for start in range(0, num_steps, at_once):
        shape = (min(at_once, num_steps - start), *like_NV.shape)
        # the same numbers as exponential_, which computes them one by one
        uniform = torch.empty(shape, dtype=torch.float64).uniform_(generator=generator)
        yield from uniform.neg_().log1p_().neg_().to(like_NV.dtype).unbind()


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
    labels = [(prompt, t) for prompt in prompts for t in temperatures for _ in range(num_samples)]
    draw = _Draw(codec, [t for _, t in labels], Filter(top_k, top_p), generator.device)
    rows = len(temperatures) * num_samples
    was_training = model.training
    model.eval()
    try:
        primed = [_read(model, codec, prompt, rows, generator.device) for prompt in prompts]
        logits_NV = torch.cat([logits for logits, _ in primed])
        state = _join([state for _, state in primed])
        noise = _noise(logits_NV.float(), max_length, generator)
        ids_NL = _continue(model, draw, noise, codec.eos_id, logits_NV, state)
    finally:
        model.train(was_training)
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
    draw: _Draw,
    noise: Iterable[Tensor],
    eos_id: int | None,
    logits_NV: Tensor,
    state: ModelState,
) -> Tensor:
    """Ids drawn, [N, as many as there is noise for]; what follows a row's end is to be ignored."""
    ended_N = torch.zeros(len(logits_NV), dtype=torch.bool, device=logits_NV.device)
    check_every = max(1, min(CHECK_EVERY, CHECK_AT_ONCE // logits_NV.numel()))
    drawn: list[Tensor] = []
    unchecked: list[Tensor] = []
    step = model.stepper(state)
    for noise_NV in noise:
        if drawn:
            logits_NV = step(drawn[-1])
        logits_NV = logits_NV.float()
        ids_N = draw(logits_NV, noise_NV)
        drawn.append(ids_N)
        unchecked.append(logits_NV)
        if len(unchecked) == check_every:
            _check_finite(unchecked)
            unchecked.clear()
        if eos_id is not None:
            ended_N |= ids_N == eos_id
            if bool(ended_N.all()):
                break
    _check_finite(unchecked)
    return torch.stack(drawn, 1)


def _check_finite(logits: Sequence[Tensor]) -> None:
    # many at once: looking takes as long as a step, and waits for a GPU
    if logits and not bool(torch.stack(tuple(logits)).isfinite().all()):
        raise TrainingDiverged(
            "there is nothing to sample: the model's logits are not finite",
            expected="a model whose training did not diverge",
            hint="train with a lower optimizer.lr, or trainer.gradient_clip=1 or less (0 is off)",
        )


def _text(codec: Codec, prompt: str, ids: Sequence[int]) -> tuple[str, bool]:
    ended = codec.eos_id in ids
    kept = ids[: ids.index(codec.eos_id)] if ended and codec.eos_id is not None else ids
    return codec.clean_prompt(prompt) + codec.decode(kept), ended


def sample_generator(seed: int, step: int, device: torch.device) -> torch.Generator:
    """A generator that no other part of a run uses."""
    mixed = np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(mixed))
