"""Turns a cell, which is one step, into a layer, which is a whole sequence."""

import importlib
from collections.abc import Mapping
from typing import Any

from charlab.cells import CELLS
from charlab.cells.base import Cell, Layer
from charlab.engine.reference import ReferenceLayer


def build_layer(cell: str, input_size: int, hidden_size: int, options: Mapping[str, Any]) -> Layer:
    """The layer of the cell of that name in `charlab.cells.CELLS`, with the cell's own options."""
    module, name = CELLS[cell]
    made = getattr(importlib.import_module(module), name)(input_size, hidden_size, **options)
    return ReferenceLayer(made) if isinstance(made, Cell) else made
