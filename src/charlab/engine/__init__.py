"""Turns a cell, which is one step, into a layer, which is a whole sequence."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charlab.cells import CELLS
from charlab.cells.base import Cell, Layer
from charlab.engine.layer import EngineLayer
from charlab.engine.reference import ReferenceLayer
from charlab.errors import UsageError
from charlab.files import default_cache


def build_layer(
    cell: str,
    input_size: int,
    hidden_size: int,
    options: Mapping[str, Any],
    engine: str = "auto",
    cache: Path | None = None,
) -> Layer:
    """The layer of the cell of that name in `charlab.cells.CELLS`, with the cell's own options.

    engine  what runs the cell, one of `charlab.engine.choice.ENGINES`; torch's own layers know only
            auto, which is torch
    cache   folder of compiled code; None: the one that paths.cache is by default

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
    if isinstance(made, Cell):
        return as_layer(made, engine, cache)
    if engine != "auto":
        raise UsageError(
            f"model={cell} cannot run with model.engine={engine}",
            option="model.engine",
            expected=f"auto: {name} is one of torch's own layers, which no engine runs",
            got=engine,
            hint=f"model=custom_{cell} is the same cell on the engine",
        )
    assert isinstance(made, Layer)
    return made


def as_layer(cell: Cell, engine: str = "auto", cache: Path | None = None) -> Layer:
    """The layer that runs a cell: `as_layer(MyCell(32, 128))`."""
    if engine == "reference":
        return ReferenceLayer(cell)
    return EngineLayer(cell, engine, default_cache() if cache is None else cache)
