"""Tables of speed, made from what `make bench-all` has written to docs/results/speed.

A function a table: from the parsed JSON of a benchmark to Markdown. Ratios have their interval of
95 % in brackets (lowest and highest below six rounds), none where there was one round. Nothing is
worked out here but units and sums.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tabular import table

Row = Mapping[str, Any]

# by name in the benchmark: what stands above its column, and torch's layer beside it
CELLS: Mapping[str, tuple[str, str | None]] = {
    "gru after": ("GRU", "nn.GRU"),
    "gru before": ("the notebook's GRU", "nn.GRU"),
    "lstm": ("LSTM", "nn.LSTM"),
    "rnn": ("RNN", "nn.RNN"),
    "mlstm": ("mLSTM", None),
}
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGUSR1")


# ------------------------------------------------------------------------------------------- cells
def ratio(row: Row) -> str:
    """ "1.35 [1.12, 1.59]" """
    low, high = row["ratio_low"], row["ratio_high"]
    ends = "" if low == high else f" [{_times(low)}, {_times(high)}]"
    return _times(row["ratio"]) + ends


def _times(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def milliseconds(value: float) -> str:
    """Three digits, as far as there are so many."""
    places = next((n for n, limit in ((2, 10), (1, 100)) if value < limit), 0)
    return f"{value:,.{places}f}"


def _optional(row: Row | None, name: str, form: Callable[[Any], str]) -> str:
    """Nothing where there is no row, or no such figure in it."""
    return "" if row is None or row[name] is None else form(row[name])


def _whole(value: float) -> str:
    return f"{value:,.0f}"


# ------------------------------------------------------------------------------------------ engine
def engine_table(rows: Sequence[Row]) -> str:
    """Times as fast as torch's layer, by shape and cell; mLSTM as the loop over its steps."""
    layers = _layers(rows)
    cells = [cell for cell in CELLS if any(key[1] == cell for key in layers)]
    lines = [
        (
            shape_words(shape),
            *(_cell(layers.get((text, cell, "compiled"))) for cell in cells),
        )
        for text, shape in _shapes(rows).items()
    ]
    heads = [CELLS[cell][0] + ("" if CELLS[cell][1] else ", of the loop") for cell in cells]
    return table(("steps, rows, input, hidden", *heads), lines)


def _cell(row: Row | None) -> str:
    return "" if row is None else ratio(row)


def engine_detail_table(rows: Sequence[Row]) -> str:
    """Milliseconds of forward and backward of each that was measured, a row a shape and cell."""
    layers = _layers(rows)
    lines = []
    for text, shape in _shapes(rows).items():
        for cell, (label, builtin) in CELLS.items():
            ours = layers.get((text, cell, "compiled"))
            if ours is None:
                continue
            theirs = layers.get((text, str(builtin).removeprefix("nn.").lower(), str(builtin)))
            loop = layers.get((text, cell, "loop"))
            peers = (ours, theirs, layers.get((text, cell, "eager")), loop)
            lines.append(
                (
                    shape_words(shape),
                    label,
                    *(_optional(row, "forward_backward_ms", milliseconds) for row in peers),
                    ratio(ours),
                    f"{100 * ours['gemm_floor_fraction']:.0f} %",
                    _optional(ours, "peak_mib", _whole),
                    _optional(theirs if builtin else loop, "peak_mib", _whole),
                    _optional(ours, "gradient_error", "{:.0e}".format),
                )
            )
    heads = (
        *("steps, rows, input, hidden", "cell", "engine, ms", "torch's layer, ms"),
        *("plain torch, ms", "loop, ms", "times as fast", "GEMM floor", "peak, MiB"),
        *("of torch's layer, or the loop, MiB", "gradient error"),
    )
    return table(heads, lines)


def _layers(rows: Sequence[Row]) -> dict[tuple[str, str, str], Row]:
    """By shape, cell and who runs it."""
    return {(row["shape"], row["cell"], row["peer"]): row for row in rows if row["kind"] == "layer"}


def _shapes(rows: Sequence[Row]) -> dict[str, Row]:
    """A row of each shape, in their order."""
    found: dict[str, Row] = {}
    for row in rows:
        if row["kind"] == "layer":
            found.setdefault(row["shape"], row)
    return found


def shape_words(row: Row) -> str:
    """ "100, 512, 300, 300, two layers, bf16" """
    sizes = [str(row[name]) for name in ("steps", "rows", "input_size", "hidden_size")]
    layers = {1: [], 2: ["two layers"]}.get(row["num_layers"], [f"{row['num_layers']} layers"])
    precision = [] if row["precision"] == "fp32" else [row["precision"]]
    return ", ".join([*sizes, *layers, *precision])


def sampling_table(rows: Sequence[Row]) -> str:
    """Two layers of 300 units; ratios are to the loop one writes around torch.nn.GRU."""
    lines = [
        (
            f"{row['rows']}, by {row['peer']}",
            _whole(row["chars_per_s"]),
            f"{row['seconds_for_1000']:.3f}",
            ratio(row),
        )
        for row in rows
        if row["kind"] == "sampling"
    ]
    heads = ("texts side by side", "characters/s", "s for 1,000 of each", "times as fast")
    return table(heads, lines)


def first_use_table(rows: Sequence[Row]) -> str:
    """Seconds until the first gradients of a process, without the import of torch."""
    found = {(row["entry"], row["engine"]): row for row in rows if row["kind"] == "first use"}
    # entries that stand beside the same layer of torch share its row
    builtin = {row["peer"]: row for (_, engine), row in found.items() if engine == "torch"}
    lines = []
    for cell, (label, peer) in CELLS.items():
        if (cell, "compiled") not in found:
            continue
        ours, eager, loop = (
            found.get((cell, engine)) for engine in ("compiled", "eager", "reference")
        )
        others = (eager, loop, builtin.get(str(peer)))
        lines.append(
            (
                label,
                _optional(ours, "first_s", "{:.1f}".format),
                _optional(ours, "again_s", "{:.2f}".format),
                *(_optional(row, "first_s", "{:.2f}".format) for row in others),
            )
        )
    heads = (
        *("cell", "engine, compiled, s", "engine, from the cache, s"),
        *("plain torch, s", "loop, s", "torch's layer, s"),
    )
    return table(heads, lines)


# ---------------------------------------------------------------------------------------- training
def training_table(names: Row, notebook: Row) -> str:
    """A step of the Trainer, with callbacks and loggers, against that of a bare PyTorch loop."""
    lines = [
        (
            label,
            milliseconds(row["bare_step_ms"]),
            milliseconds(row["trainer_step_ms"]),
            ratio(row),
            _whole(row["steps"]),
        )
        for label, row in (
            ("`python train.py`", names),
            ("enwik8 notebook's shape, `gru`", notebook),
        )
    ]
    heads = ("a step of", "bare loop, ms", "charlab, ms", "times as long", "steps of each")
    return table(heads, lines)


def step_table(rows: Sequence[Row]) -> str:
    """A whole step at the enwik8 notebook's shape; ratios are to torch's GRU."""
    lines = [
        (
            f"`{row['peer']}`",
            row["engine"],
            milliseconds(row["step_ms"]),
            _whole(row["chars_per_s"]),
            ratio(row),
        )
        for row in rows
    ]
    return table(("model", "engine", "step, ms", "characters/s", "times as fast"), lines)


def data_table(found: Row) -> str:
    """What of a step drawing its batch takes."""
    heads = ("drawing a batch, ms", "slowest, ms", "step, ms", "share")
    times = (milliseconds(found[name]) for name in ("draw_ms", "slowest_draw_ms", "step_ms"))
    return table(heads, [(*times, f"{found['share_percent']:.2f} %")])


def memory_table(found: Row) -> str:
    """Resident memory of two runs that differ in the size of their text."""
    lines = [
        (
            f"{found[f'{name}_bytes'] / 1e6:,.0f} MB",
            _whole(found[f"{name}_training_mib"]),
            _whole(found[f"{name}_highest_mib"]),
            _whole(found[f"{name}_seconds"]),
        )
        for name in ("small", "large")
    ]
    highest = found["large_highest_mib"] - found["small_highest_mib"]
    more = ("more", _whole(found["more_while_training_mib"]), _whole(highest), "")
    heads = ("text of", "while it trains, MiB", "at most, MiB", "the whole run, s")
    return table(heads, [*lines, more])


# ----------------------------------------------------------------------------------------- a study
def sweep_table(found: Row) -> str:
    """Seconds a job, in sweeps and by hand; ratios are to the sweep of the first row of them."""
    jobs = found["jobs"]
    lines = [
        (
            f"{jobs} jobs, {row['workers']} at a time",
            f"{row['seconds']:.1f}",
            f"{row['s_per_job']:.1f}",
            ratio(row),
        )
        for row in found["sweeps"]
    ]
    by_hand = (
        "by hand, one after the other",
        "",
        f"{found['by_hand_s_per_job']:.1f}",
        ratio(found["sweep_to_by_hand"]),
    )
    again = (f"again, all {jobs} done", f"{found['again_s']:.1f}", "", "")
    return table(("", "s", "s/job", "times as fast"), [by_hand, *lines, again])


def soak_table(rows: Sequence[Row]) -> str:
    """Kills by signal, and the runs that did not end as the one nobody touched."""
    sums: dict[str, Any] = {
        "kills": {name: sum(row["kills"].get(name, 0) for row in rows) for name in SIGNALS},
        **{name: sum(row[name] for row in rows) for name in ("runs", "differ", "seconds")},
    }
    assert {name for row in rows for name in row["kills"]} <= set(SIGNALS)
    lines = [
        (
            name,
            *(str(row["kills"].get(signal, 0)) for signal in SIGNALS),
            str(row["runs"]),
            str(row["differ"]),
            _whole(row["seconds"]),
        )
        for name, row in (*((row["name"], row) for row in rows), ("all", sums))
    ]
    return table(("configuration", *SIGNALS, "runs", "differ", "s"), lines)


def compare_table(found: Row) -> str:
    """Seconds of commands over made-up run directories, their start included."""
    commands = {
        "charlab --version": "version_s",
        "charlab compare": "compare_s",
        "charlab compare --json": "compare_json_s",
        f"charlab compare --html (a page of {found['page_mib']:.1f} MiB)": "compare_html_s",
    }
    lines = [(text, f"{found[name]:.1f}") for text, name in commands.items()]
    return table((f"{found['runs']:,} runs of {found['rows']:,} rows", "s"), lines)


def coverage_table(rows: Sequence[Row]) -> str:
    """Part of 95 % intervals that hold the mean, and their width in widths of Student's."""
    ways = list(rows[0]["covered_and_width"])
    lines = [
        (
            f"{row['kind']}, {row['n']} seeds",
            *(
                f"{part:.3f}, " + ("infinite" if width is None else f"x{width:.2f}")
                for part, width in row["covered_and_width"].values()
            ),
        )
        for row in rows
    ]
    return table(("differences", *ways), lines)


def machine_line(found: Row) -> str:
    """Where and when all this was measured."""
    packages = ", ".join(
        f"{name} {found[name]}" for name in ("python", "torch", "pytorch-lightning")
    )
    return (
        f"{found['processor']}, {found['cores']} cores, {found['memory_gib']} GiB, "
        f"{found['system']}; {packages}; {found['date']}."
    )


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text("utf-8"))


# by the name of a block in a document: what stands there, from the folder of the figures
BLOCKS: dict[str, Callable[[Path], str]] = {
    "speed-machine": lambda folder: machine_line(read(folder, "machine")),
    "speed-engine": lambda folder: engine_table(read(folder, "engine")),
    "speed-engine-detail": lambda folder: engine_detail_table(read(folder, "engine")),
    "speed-sampling": lambda folder: sampling_table(read(folder, "engine")),
    "speed-first-use": lambda folder: first_use_table(read(folder, "engine")),
    "speed-training": lambda folder: training_table(
        read(folder, "overhead_names"), read(folder, "overhead_notebook")
    ),
    "speed-step": lambda folder: step_table(read(folder, "whole_step")),
    "speed-data": lambda folder: data_table(read(folder, "data_path")),
    "speed-memory": lambda folder: memory_table(read(folder, "memory")),
    "speed-sweep": lambda folder: sweep_table(read(folder, "sweep_scaling")),
    "speed-soak": lambda folder: soak_table(read(folder, "soak")),
    "speed-compare": lambda folder: compare_table(read(folder, "compare_many")),
    "speed-coverage": lambda folder: coverage_table(read(folder, "bootstrap_coverage")),
}
