"""What the data cost of a training step: drawing a batch against the step that uses it.

    python benchmarks/data_path.py [--steps 12] [--json FILE] [OPTION=VALUE ...]

The default is the enwik8 notebook's shape (2 x 300 units, 512 rows, 100 steps) on the characters of
Python's standard library, which every machine has. Batches and steps take turns in one process; the
share is that of the medians.
"""

import statistics
import time
from pathlib import Path

import figures
import torch
from omegaconf import OmegaConf

from charlab import terminal
from charlab.config.compose import Composer
from charlab.config.schema import Config
from charlab.data.dataset import build_dataset
from charlab.data.report import ConsoleReport
from charlab.evaluation import batch_nats
from charlab.model import build_model
from charlab.optim import build_optimizer
from charlab.trainer import prepare_process
from charlab.world import World

ROOT = Path(__file__).parents[1]
NOTEBOOK = ("experiment=notebook_enwik8_gru", "data=python_stdlib", "data.symbols=chars")


def measure(overrides: list[str], num_steps: int) -> dict[str, float]:
    """Milliseconds of drawing a batch and of a whole step, medians, and the share in per cent."""
    composed = Composer(ROOT / "conf", "config", None).compose(overrides)
    config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    data = build_dataset(
        config.data,
        config.seed,
        Path(config.paths.cache),
        World(),
        ConsoleReport(terminal.console()),
    )
    model = build_model(config.model, len(data.vocabulary), config.seed)
    prepare_process(config, model.record["hidden_size"])
    optimizer = build_optimizer(config.optimizer, model, fused=True)
    loader = data.module.train_dataloader()
    batches = iter(loader)
    state = None
    draws_ms: list[float] = []
    steps_ms: list[float] = []
    for _ in range(num_steps + 1):
        began_s = time.perf_counter()
        batch = next(batches)
        drawn_s = time.perf_counter()
        nats, _, state = batch_nats(model, batch, state)
        optimizer.zero_grad()
        torch.autograd.backward(nats / loader.mean_targets)
        optimizer.step()
        draws_ms.append(1000 * (drawn_s - began_s))
        steps_ms.append(1000 * (time.perf_counter() - began_s))
    draw_ms, step_ms = statistics.median(draws_ms[1:]), statistics.median(steps_ms[1:])
    return {
        "draw_ms": draw_ms,
        "slowest_draw_ms": max(draws_ms[1:]),
        "step_ms": step_ms,
        "share_percent": 100 * draw_ms / step_ms,
    }


def main() -> None:
    parser = figures.parser(__doc__)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("overrides", nargs="*", metavar="OPTION=VALUE")
    arguments = parser.parse_args()
    found = measure([*NOTEBOOK, *arguments.overrides], arguments.steps)
    figures.show(found, "Drawing a batch against the step that uses it", arguments.json)


if __name__ == "__main__":
    main()
