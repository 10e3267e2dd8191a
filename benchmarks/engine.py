"""Cells on charlab's engine against the layers of torch and against a loop over steps.

    python benchmarks/engine.py [--json FILE] [--shapes 100,512,300,300x2:bf16 ...]
        [--cells "gru after" lstm ...] [--repeats 15] [--budget-s 25] [--threads N]
        [--no-sides SHAPE ...] [--bf16-cells CELL ...]
        [--torch-compile] [--no-first-use] [--no-sampling] [--quick]

A shape is T steps, B rows, input size, hidden size, so many layers; fp32, or bf16 by autocast. All
engines of a cell, and the layer of torch that it stands beside, take turns in one process: medians
over rounds, and the ratio of times in the same round with an interval of 95 % for its median. What
takes longest are the largest shapes, bf16 most of all where the processor has no instructions for
it: `--no-sides` leaves plain torch and the loop out of a shape, `--bf16-cells` cells out of bf16.

forward  without a graph, as in evaluation
both     forward and backward, to the input and all weights
faster   how many times faster `both` is than torch's layer; mlstm, which torch lacks, than the loop
first    seconds until the first gradients in a fresh process, with an empty cache
error    against the loop in float64, relative: outputs; gradients, the worst of all gates. A layer
         of torch that computes something else has none
floor    what torch.mm takes for all products of `both`, each over all steps at once, as a share
peak     memory beyond inputs and weights at the highest point of `both`
"""

import argparse
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import figures
import torch
from first_use import measure as measure_first_use
from layer_rows import Contest, Key, Limits
from sampling_speed import measure as measure_sampling
from stacks import ENGINES, ENTRIES, Shape

from charlab import terminal

NOTEBOOK = "100,512,300,300x2"
SHAPES = (
    *("128,32,64,64", "512,16,64,128", "128,32,128,256", "100,64,300,300"),
    *(NOTEBOOK, f"{NOTEBOOK}:bf16"),
)
QUICK_SHAPES = ("16,8,16,16", "8,16,24,24x2", "8,16,24,24x2:bf16")
# torch.compile takes a minute for eight steps.
COMPILE_SHAPE = "8,32,64,64"
# The ratio that the compiled engine is to reach at least, by cell and shape.
WANTED: Mapping[str, Mapping[str, float]] = {
    "gru after": dict(zip(SHAPES, (4.0, 3.2, 2.0, 1.6, 1.15, 1.5))),
    "gru before": {NOTEBOOK: 1.0},
    "lstm": dict.fromkeys(SHAPES[:-1], 0.95),
    "rnn": dict.fromkeys(SHAPES[:2], 1.5),
}
WANTED_ERROR = 1e-5


WANTED_FIRST_S, WANTED_AGAIN_S = 20.0, 0.2
WANTED_1000_CHARS_S = 0.3

Row = dict[str, Any]


def families(cells: Sequence[str]) -> list[list[str]]:
    """The cells, those together that stand beside the same layer of torch."""
    found: dict[str, list[str]] = {}
    for name in cells:
        found.setdefault(ENTRIES[name].builtin or name, []).append(name)
    return list(found.values())


def add_wanted(row: Row) -> Row:
    """The row with what its figures are to reach, where that is said."""
    compiled = row["peer"] == "compiled"
    if row["kind"] == "layer":
        row["wanted_ratio"] = WANTED.get(row["cell"], {}).get(row["shape"]) if compiled else None
        exact = row["precision"] == "fp32" and not row["peer"].startswith("nn.")
        row["wanted_gradient_error"] = WANTED_ERROR if exact else None
    elif row["kind"] == "first use":
        row["wanted_first_s"] = WANTED_FIRST_S if compiled else None
        row["wanted_again_s"] = WANTED_AGAIN_S if compiled else None
    elif row["kind"] == "sampling":
        ours = row["rows"] == 1 and row["peer"].startswith("custom")
        row["wanted_seconds_for_1000"] = WANTED_1000_CHARS_S if ours else None
    return row


def layer_line(row: Row) -> dict[str, str]:
    return {
        "cell": row["cell"],
        "by": row["peer"],
        "fwd ms": f"{row['forward_ms']:.2f}",
        "both ms": f"{row['forward_backward_ms']:.2f}",
        "us/step": f"{row['us_per_step']:.1f}",
        "faster": f"{row['ratio']:.2f} ({row['ratio_low']:.2f}-{row['ratio_high']:.2f})",
        "wanted": figures.at_least(row["ratio"], row["wanted_ratio"]),
        "first s": figures.number(row["first_call_s"], ".2f"),
        "error": figures.number(row["output_error"], ".0e"),
        "gradients": gradient_error(row["gradient_error"], row["wanted_gradient_error"]),
        "floor %": f"{100 * row['gemm_floor_fraction']:.0f}",
        "MiB": figures.number(row["peak_mib"], ".0f"),
    }


def gradient_error(found: float | None, wanted: float | None) -> str:
    """Only an error that is too large needs a word."""
    text = figures.number(found, ".0e")
    missed = found is not None and wanted is not None and found > wanted
    return figures.judged(text, False) if missed else text


def first_use_line(row: Row) -> dict[str, str]:
    return {
        "cell": row["cell"],
        "by": row["peer"],
        "first s": f"{row['first_s']:.2f}",
        "wanted": figures.at_most(row["first_s"], row["wanted_first_s"], ".0f"),
        "again s": figures.number(row["again_s"], ".3f"),
        "wanted ": figures.at_most(row["again_s"], row["wanted_again_s"], ".1f"),
    }


def sampling_line(row: Row) -> dict[str, str]:
    return {
        "rows": str(row["rows"]),
        "by": row["peer"],
        "characters/s": f"{row['chars_per_s']:,.0f}",
        "faster": f"{row['ratio']:.2f} ({row['ratio_low']:.2f}-{row['ratio_high']:.2f})",
        "s for 1,000": f"{row['seconds_for_1000']:.3f}",
        "wanted": figures.at_most(row["seconds_for_1000"], row["wanted_seconds_for_1000"], ".1f"),
    }


def machine() -> Row:
    """What the figures depend on beside the code."""
    return {
        "kind": "machine",
        "processor": figures.processor_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "system": platform.platform(),
    }


def run(arguments: argparse.Namespace, cache: Path) -> list[Row]:
    """All rows; each table is shown as soon as it is whole."""
    rows = [machine()]
    title = ", ".join(f"{name} {value}" for name, value in rows[0].items() if name != "kind")
    terminal.console().print(title)

    def show(found: list[Row], line: Callable[[Row], dict[str, str]], title: str) -> None:
        rows.extend(add_wanted(row) for row in found)
        figures.show_rows([line(row) for row in found], title)
        if arguments.json is not None:  # what there is, should the rest never come
            figures.write(rows, arguments.json)

    first_s: dict[Key, float] = {}
    if not arguments.no_first_use:
        cells = arguments.cells[:1] if arguments.quick else arguments.cells
        ways = [(name, engine) for name in cells for engine in ENGINES]
        firsts = [names[0] for names in families(cells)]
        ways += [(name, "torch") for name in firsts if ENTRIES[name].builtin is not None]
        found = measure_first_use(ways, Shape.read(arguments.shapes[0]))
        first_s = {(row["entry"], row["engine"]): row["first_s"] for row in found}
        show(found, first_use_line, "First use of a cell, in a fresh process")
    compiled = [COMPILE_SHAPE] if arguments.torch_compile else []
    for text in [*arguments.shapes, *compiled]:
        shape = Shape.read(text)
        cells = arguments.cells
        if shape.precision == "bf16":
            cells = [name for name in cells if name in arguments.bf16_cells]
        for names in families(cells):
            contest = Contest(
                shape,
                names,
                cache,
                with_sides=text not in arguments.no_sides,
                with_compile=text in compiled,
            )
            for reason in contest.refused:
                terminal.console().print(reason)
            found = contest.rows(Limits(arguments.repeats, arguments.budget_s), first_s)
            show(found, layer_line, f"T, B, I, H = {text}")
    if not arguments.no_sampling:
        found = measure_sampling(cache, arguments.characters, arguments.repeats)
        show(found, sampling_line, "Drawing text from two layers of 300 units")
    return rows


def main() -> None:
    parser = figures.parser(__doc__)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), metavar="T,B,I,H[xL][:bf16]")
    parser.add_argument("--cells", nargs="+", default=list(ENTRIES), choices=list(ENTRIES))
    parser.add_argument(
        "--bf16-cells", nargs="*", default=list(ENTRIES), choices=list(ENTRIES), metavar="CELL"
    )
    parser.add_argument(
        "--no-sides",
        nargs="+",
        default=[],
        metavar="SHAPE",
        help="no plain torch and no loop there",
    )
    parser.add_argument("--repeats", type=int, default=15, help="rounds at most")
    parser.add_argument("--budget-s", type=float, default=25.0, help="seconds of one contestant")
    parser.add_argument("--threads", type=int, help="of torch; all cores by default")
    parser.add_argument(
        "--torch-compile", action="store_true", help=f"the loop, at {COMPILE_SHAPE}"
    )
    parser.add_argument("--no-first-use", action="store_true")
    parser.add_argument("--no-sampling", action="store_true")
    parser.add_argument("--characters", type=int, default=1000, help="to draw at a time")
    parser.add_argument("--quick", action="store_true", help="tiny shapes: shows that it runs")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.shapes, arguments.repeats = list(QUICK_SHAPES), 3
        arguments.budget_s, arguments.characters = 1.0, 50
        arguments.threads = arguments.threads or 1  # a second one only costs time at such shapes
    try:
        for text in [*arguments.shapes, *arguments.no_sides]:
            Shape.read(text)
    except ValueError as error:
        parser.error(f"a shape is like 128,32,64,64 or {SHAPES[-1]}, not {error}")
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as cache:
        run(arguments, Path(cache))


if __name__ == "__main__":
    main()
