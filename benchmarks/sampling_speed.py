"""How fast text is drawn from two layers of 300 units: by charlab, and by a loop of one's own."""

import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, final

import torch
from omegaconf import OmegaConf
from torch import Generator, Tensor, nn
from turns import Call, ratio, take_turns

from charlab.config.compose import Composer
from charlab.config.schema import Config
from charlab.model import CharModel, build_model
from charlab.sampling import sample
from charlab.threads import choose_threads

ROOT = Path(__file__).parents[1]
VOCAB_SIZE = 205  # of the characters of enwik8 that are not rare
BATCHES = (1, 64)


@final
class Codec:
    """A vocabulary in which all may be drawn and nothing ends a text."""

    eos_id: int | None = None
    unsampled_ids: Sequence[int] = ()

    def clean_prompt(self, prompt: str) -> str:
        return prompt

    def prompt_ids(self, prompt: str) -> list[int]:
        return [0]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))


@final
class ByHand(nn.Module):
    """What one writes around torch.nn.GRU to draw from it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCAB_SIZE, 300)
        self.rnn = nn.GRU(300, 300, num_layers=2)
        self.head = nn.Linear(300, VOCAB_SIZE)

    @torch.inference_mode()
    def draw(self, num_rows: int, length: int) -> Tensor:
        """Ids [length, rows]."""
        ids_B = torch.zeros(num_rows, dtype=torch.int64)
        state = torch.zeros(2, num_rows, 300)
        drawn = []
        for _ in range(length):
            y_1BH, state = self.rnn(self.embedding(ids_B)[None], state)
            probs_BV = self.head(y_1BH[0]).softmax(-1)
            ids_B = torch.multinomial(probs_BV, 1)[:, 0]
            drawn.append(ids_B)
        return torch.stack(drawn)


def model_of(cache: Path, *overrides: str) -> CharModel:
    sizes = ("model.hidden_size=300", "model.embedding_size=300", "model.num_layers=2")
    composed = Composer(ROOT / "conf", "config", None).compose([*sizes, *overrides])
    config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    return build_model(config.model, VOCAB_SIZE, config.seed, cache)


def measure(cache: Path, length: int, repeats: int) -> list[dict[str, Any]]:
    """A row for each batch size and each way to draw; ratios are against the loop by hand."""
    after = ("model.bias=both", "model.reset=after", "model.update_gate=keep")
    models = {
        "custom_gru": model_of(cache, "model=custom_gru", *after),
        "custom_gru, reset before": model_of(cache, "model=custom_gru"),
        "gru": model_of(cache, "model=gru"),
    }
    rows = []
    num_threads = torch.get_num_threads()
    for num_rows in BATCHES:
        torch.set_num_threads(num_threads)
        choose_threads(num_rows, 300, None)  # as every command of charlab does
        calls: dict[str, Call] = {"loop over nn.GRU": partial(ByHand().draw, num_rows, length)}
        for name, model in models.items():
            calls[name] = partial(_draw, model, num_rows, length)
        took = take_turns(calls, repeats, dict.fromkeys(calls, 10.0))
        for name, times_ms in took.items():
            took_s = statistics.median(times_ms) / 1000
            faster = ratio(took["loop over nn.GRU"], times_ms)
            rows.append(
                {
                    "kind": "sampling",
                    "peer": name,
                    "rows": num_rows,
                    "threads": torch.get_num_threads(),
                    "chars_per_s": num_rows * length / took_s,
                    "seconds_for_1000": 1000 * took_s / length,
                    "ratio": faster.median,
                    "ratio_low": faster.low,
                    "ratio_high": faster.high,
                }
            )
    return rows


def _draw(model: CharModel, num_rows: int, length: int) -> object:
    generator = Generator().manual_seed(0)
    return sample(model, Codec(), generator, num_samples=num_rows, max_length=length)
