"""Turns a cell, which is one step, into a layer, which is a whole sequence."""

import importlib
import inspect
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

    Raises UsageError where the row of CELLS names no class, or the options of the configuration are
    not those of the class.
    """
    made_by = _class_of(cell)
    name = made_by.__name__
    try:
        made = made_by(input_size, hidden_size, **options)
    except TypeError as error:
        raise UsageError(
            f"model.cell={cell} cannot be made from its options",
            expected=f"a schema for the constructor of {name} in src/charlab/config/schema.py",
            got=str(error),
            option="model.cell",
        ) from error
    if isinstance(made, Cell):
        _check_initial_state(made)
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


def _class_of(cell: str) -> type:
    """What the row of CELLS names; errors inside of its module go on."""
    module, name = CELLS[cell]
    try:
        found = getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name != module:
            raise
        raise UsageError(
            f"model.cell={cell} is not where CELLS says",
            expected=f"a class {name} in the module {module}",
            got=str(error),
            hint=f"mend the row {cell!r} in src/charlab/cells/__init__.py, or the module",
            option="model.cell",
        ) from error
    assert isinstance(found, type)
    return found


def _check_initial_state(cell: Cell) -> None:
    try:
        inspect.signature(cell.initial_state).bind(1)
    except TypeError as error:
        name = type(cell).__name__
        raise UsageError(
            f"{name}.initial_state cannot be called",
            expected=f"def initial_state(self, batch_size), a NamedTuple of tensors of that many "
            f"rows and hidden_size={cell.hidden_size} columns",
            got=f"{name}.initial_state{inspect.signature(cell.initial_state)}: {error}",
            hint="src/charlab/cells/custom_lstm.py has one of two parts",
            option="model.cell",
        ) from error


def as_layer(cell: Cell, engine: str = "auto", cache: Path | None = None) -> Layer:
    """The layer that runs a cell: `as_layer(MyCell(32, 128))`."""
    if engine == "reference":
        return ReferenceLayer(cell)
    return EngineLayer(cell, engine, default_cache() if cache is None else cache)
