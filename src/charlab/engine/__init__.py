"""Turns a cell, which is one step, into a layer, which is a whole sequence."""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

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

    Raises UsageError where the row of CELLS names no class, the options of the configuration are
    not those of the class, or its first state is none.
    """
    name = CELLS[cell][1]
    maker = _class_of(cell)
    try:
        made = maker(input_size, hidden_size, **options)
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


def _class_of(cell: str) -> Callable[..., object]:
    """What the row of CELLS names; errors inside of its module go on."""
    module, name = CELLS[cell]
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise
        raise _not_there(cell, str(error)) from error
    found: Callable[..., object] | None = getattr(imported, name, None)
    if not callable(found):
        raise _not_there(cell, f"no class of that name in {module}")
    return found


def _not_there(cell: str, got: str) -> UsageError:
    module, name = CELLS[cell]
    return UsageError(
        f"model.cell={cell} is not where CELLS says",
        expected=f"a class {name} in the module {module}",
        got=got,
        hint=f"mend the row {cell!r} in src/charlab/cells/__init__.py, or the module",
        option="model.cell",
    )


def _check_initial_state(cell: Cell) -> None:
    name = f"{type(cell).__name__}.initial_state"
    try:
        inspect.signature(cell.initial_state).bind(1)
    except TypeError as error:
        got = f"{name}{inspect.signature(cell.initial_state)}: {error}"
        raise _no_state(name, cell.hidden_size, got) from error
    state: object = cell.initial_state(1)
    parts: Sequence[str] = getattr(state, "_fields", ())
    if not (isinstance(state, tuple) and parts):
        raise _no_state(name, cell.hidden_size, f"{type(state).__name__}, which is no NamedTuple")
    for part, tensor in zip(parts, state, strict=True):
        shape = list(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
        if shape != [1, cell.hidden_size]:
            raise _no_state(name, cell.hidden_size, f"{part} is {shape} for one row")


def _no_state(name: str, hidden_size: int, got: str) -> UsageError:
    return UsageError(
        f"{name} does not give the first state",
        expected="def initial_state(self, batch_size), a NamedTuple of tensors "
        f"[batch_size, {hidden_size}], the output first",
        got=got,
        hint="src/charlab/cells/custom_lstm.py has one of two parts",
        option="model.cell",
    )


def as_layer(cell: Cell, engine: str = "auto", cache: Path | None = None) -> Layer:
    """The layer that runs a cell: `as_layer(MyCell(32, 128))`."""
    if engine == "reference":
        return ReferenceLayer(cell)
    return EngineLayer(cell, engine, default_cache() if cache is None else cache)
