"""The conformance table: every cell of charlab in every form that its options allow.

A new cell adds its row here, with its step in `numpy_cells` and the formula of its size.
"""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from charlab.cells.base import Layer
from charlab.engine import build_layer
from charlab.engine.cpu.build import find_compiler

from . import numpy_cells

T, B, I, H, V = 6, 3, 4, 5, 7  # noqa: E741
BIASES = ("both", "input", "none")
# all that can run a cell here; torch's own layers run themselves
ENGINES = ("reference", "eager", *(["compiled"] if find_compiler() else []))


class Row(NamedTuple):
    """A cell in one form. step: the same in numpy. num_params: its number of parameters."""

    cell: str
    options: dict[str, Any]
    step: Callable
    num_params: Callable[[int, int], int]


def num_params(num_gates: int, bias: str) -> Callable[[int, int], int]:
    """I H + H H a gate, and H for each bias that it has."""
    num_biases = {"both": 2, "input": 1, "none": 0}[bias]
    return lambda i, h: num_gates * h * (i + h + num_biases)


ROWS = [
    Row(
        "gru",
        {},
        partial(numpy_cells.gru, reset="after", update_gate="keep"),
        num_params(3, "both"),
    ),
    *(
        Row("rnn", {"nonlinearity": phi}, numpy_cells.RNN[phi], num_params(1, "both"))
        for phi in ("tanh", "relu")
    ),
    *(
        Row("lstm", {"forget_bias": forget}, numpy_cells.lstm, num_params(4, "both"))
        for forget in (0.0, 1.0)
    ),
    *(
        Row(
            "custom_rnn",
            {"nonlinearity": phi, "bias": bias},
            numpy_cells.RNN[phi],
            num_params(1, bias),
        )
        for phi, bias in itertools.product(("tanh", "relu"), BIASES)
    ),
    *(
        Row(
            "custom_gru",
            {"bias": bias, "reset": reset, "update_gate": update},
            partial(numpy_cells.gru, reset=reset, update_gate=update),
            num_params(3, bias),
        )
        for bias, reset, update in itertools.product(BIASES, ("before", "after"), ("admit", "keep"))
    ),
    *(
        Row(
            "custom_lstm",
            {"forget_bias": 1.0, "bias": bias},
            numpy_cells.lstm,
            num_params(4, bias),
        )
        for bias in BIASES
    ),
    *(
        Row("mlstm", {"forget_bias": 1.0, "bias": bias}, numpy_cells.mlstm, num_params(5, bias))
        for bias in BIASES
    ),
]


# every row under every engine that can run it
CASES = [
    (row, engine)
    for row in ROWS
    for engine in (["auto"] if row.cell in ("gru", "lstm", "rnn") else ENGINES)
]

FIRST = {row.cell: row for row in reversed(ROWS)}
# the same where each takes long: all but one form of each cell in the slow tests alone
ONE_FORM_QUICK = [
    pytest.param(row, engine, marks=[] if row is FIRST[row.cell] else pytest.mark.slow)
    for row, engine in CASES
]


def row_id(row: Row) -> str:
    return "-".join(map(str, (row.cell, *row.options.values())))


def case_id(case: object) -> str:
    return row_id(case) if isinstance(case, Row) else str(case)


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def randomise(module: nn.Module) -> nn.Module:
    """The module with all its parameters (biases too) drawn from N(0, 0.6)."""
    source = generator()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.6, generator=source)
    return module


def build(row: Row, input_size: int = I, hidden_size: int = H, *, engine: str = "auto") -> Layer:
    """The layer in float64, with random parameters."""
    layer = build_layer(row.cell, input_size, hidden_size, row.options, engine)
    return randomise(layer.double())
