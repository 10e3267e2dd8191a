"""The translation unit of a program: its tables, its passes, and the headers beside this file.

The headers hold what is the same for every cell: functions on vectors, products, the time loops.
They are part of the text, so that it depends on nothing but the C library.
"""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

from charlab.engine.cpu.layout import Layout
from charlab.engine.cpu.passes import backward, forward


def source(layout: Layout, single: bool) -> str:
    """C++ for float numbers, or with `single` off for double ones."""
    parts = [
        f"#define SINGLE {int(single)}",
        _header("vectors.h"),
        _header("products.h"),
        *_tables(layout),
        _header("step.h"),
        *forward(layout),
        *backward(layout),
        _header("sums.h"),
        _header("loops.h"),
    ]
    return "\n".join(parts)


@functools.cache
def _header(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _tables(layout: Layout) -> Iterator[str]:
    """What step.h says of them."""
    program = layout.program
    counts = {
        "GATES": program.num_gates,
        "STATES": program.num_states,
        "CALLS": len(program.calls),
        "PASSES": layout.num_passes,
        "PIECES": len(program.backward),
        "SAVED": len(layout.saved),
        "CARRIED": len(layout.carried),
        "COLUMNS": layout.num_columns,
        "OTHERS": len(program.others),
        "SUMS": len(layout.sums),
    }
    yield "constexpr long " + ", ".join(f"{name} = {n}" for name, n in counts.items()) + ";"
    calls = [
        (program.linears[call.linear], layout.call_pass[number], *layout.place_of_input(number))
        for number, call in enumerate(program.calls)
    ]
    yield _table("struct { long blocks, pass; int state, saved; } CALL", calls)
    pieces = [
        (_or_none(piece.call), _or_none(part))
        for piece, part in zip(program.backward, layout.straight, strict=True)
    ]
    yield _table("struct { int call, state; } PIECE", pieces)
    runs = [run for some in layout.runs for run in some]
    yield _table("struct { long column, block, blocks; } RUN", runs)
    spans, start = [], 0
    for some in layout.runs:
        spans.append((start, start := start + len(some)))
    yield _table("struct { int first, last; } RUNS", spans)


def _table(declaration: str, rows: Sequence[tuple[int, ...]]) -> str:
    """An array of at least one row, as C++ has no empty ones."""
    shown = ", ".join("{" + ", ".join(map(str, row)) + "}" for row in rows) or "{}"
    return f"constexpr {declaration}[] = {{{shown}}};"


def _or_none(number: int | None) -> int:
    return -1 if number is None else number
