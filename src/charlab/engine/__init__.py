"""Turns a cell, which is one step, into a layer, which is a whole sequence."""

import importlib
from collections.abc import Mapping
from typing import Any

from charlab.cells import CELLS
from charlab.cells.base import Cell, Layer
from charlab.engine.reference import ReferenceLayer
from charlab.errors import UsageError


def build_layer(cell: str, input_size: int, hidden_size: int, options: Mapping[str, Any]) -> Layer:
    """The layer of the cell of that name in `charlab.cells.CELLS`, with the cell's own options.

    Raises UsageError where the options of the configuration are not those of the class.
    """
    module, name = CELLS[cell]
    try:
        made = getattr(importlib.import_module(module), name)(input_size, hidden_size, **options)
    except TypeError as error:
        raise UsageError(
            f"model.cell={cell} cannot be made from its options",
            expected=f"a schema for the constructor of {name} in src/charlab/config/schema.py",
            got=str(error),
            option="model.cell",
        ) from error
    return ReferenceLayer(made) if isinstance(made, Cell) else made
