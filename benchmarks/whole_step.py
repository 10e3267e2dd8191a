"""A whole step of training at the enwik8 notebook's shape: its own GRU against torch's.

    python benchmarks/whole_step.py [--repeats 6] [--json FILE] [OPTION=VALUE ...]

The step is that of the bare loop of overhead.py: drawing a batch, embedding, two layers of 300
units, output layer, backward, optimizer. The notebook's GRU is run by the engine, and by the loop
over steps in which the notebook has it. They take turns in one process on the same data, the
characters of Python's standard library.
"""

import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import figures
from omegaconf import OmegaConf
from overhead import ROOT, BareLoop
from turns import Call, ratio, take_turns

from charlab import terminal
from charlab.config.compose import Composer
from charlab.config.schema import Config
from charlab.config.schema_data import StreamConfig
from charlab.data.dataset import build_dataset
from charlab.data.report import ConsoleReport
from charlab.trainer import prepare_process
from charlab.world import World

TEXT = ("data=python_stdlib", "data.symbols=chars")
NOTEBOOK = "experiment=notebook_enwik8_custom_gru"
BASE = "nn.GRU"
WAYS: dict[str, tuple[str, ...]] = {
    BASE: ("experiment=notebook_enwik8_gru",),
    "custom_gru": (NOTEBOOK,),
    "custom_gru, loop": (NOTEBOOK, "model.engine=reference"),
}


def config_of(overrides: list[str]) -> Config:
    config = OmegaConf.to_object(Composer(ROOT / "conf", "config", None).compose(overrides))
    assert isinstance(config, Config)
    return config


def measure(overrides: list[str], repeats: int) -> list[dict[str, Any]]:
    """A row for each way; ratios are of times of torch's GRU to its own."""
    configs = {name: config_of([*way, *TEXT, *overrides]) for name, way in WAYS.items()}
    base = configs[BASE]
    report = ConsoleReport(terminal.console())
    data = build_dataset(base.data, base.seed, Path(base.paths.cache), World(), report)
    prepare_process(base, base.model.hidden_size)
    loops = {name: BareLoop(config, data, repeats) for name, config in configs.items()}
    calls: dict[str, Call] = {name: partial(loop.run, 1) for name, loop in loops.items()}
    took = take_turns(calls, repeats, dict.fromkeys(calls, float("inf")))
    assert isinstance(base.data, StreamConfig)
    num_chars = base.data.batch_size * base.data.seq_len
    rows = []
    for name, times_ms in took.items():
        faster = ratio(took[BASE], times_ms)
        step_ms = statistics.median(times_ms)
        rows.append(
            {
                "peer": name,
                "engine": loops[name].model.engine,
                "step_ms": step_ms,
                "chars_per_s": 1000 * num_chars / step_ms,
                "rounds": len(times_ms),
                "ratio": faster.median,
                "ratio_low": faster.low,
                "ratio_high": faster.high,
            }
        )
    return rows


def line(row: dict[str, Any]) -> dict[str, str]:
    return {
        "by": row["peer"],
        "engine": row["engine"],
        "step ms": f"{row['step_ms']:,.1f}",
        "characters/s": f"{row['chars_per_s']:,.0f}",
        "faster": f"{row['ratio']:.2f} ({row['ratio_low']:.2f}-{row['ratio_high']:.2f})",
    }


def main() -> None:
    parser = figures.parser(__doc__)
    parser.add_argument("--repeats", type=int, default=6, help="rounds")
    parser.add_argument("overrides", nargs="*", metavar="OPTION=VALUE")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure([f"paths.runs={folder}", *asked.overrides], asked.repeats)
    figures.show_rows([line(row) for row in rows], "A whole step of training")
    if asked.json is not None:
        figures.write(rows, asked.json)


if __name__ == "__main__":
    main()
