"""Turns a cell, which is one step, into a layer, which is a whole sequence."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from charlab.cells import CELLS
from charlab.cells.base import Cell, Layer
from charlab.engine.contract import check_contract
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
    not those of the class, or what its methods return is no state.
    """
    maker = _maker_of(cell)
    name = CELLS[cell][1]
    try:
        made = maker(input_size, hidden_size, **options)
    except TypeError as error:
        words = ["input_size", "hidden_size", *options]
        raise UsageError(
            f"model.cell={cell} cannot be made from its options",
            expected=f"a constructor {name}({', '.join(words)}): the options are those of its "
            "schema in src/charlab/config/schema.py",
            got=str(error),
            hint="src/charlab/cells/custom_lstm.py has two options",
            option="model.cell",
        ) from error
    except ValueError as error:
        raise UsageError(
            f"model.cell={cell} cannot be made",
            expected="gates, products and a bias as charlab.cells.base.Cell has them",
            got=str(error),
            hint='"Write your own cell" in README.md has an example',
            option="model.cell",
        ) from error
    if isinstance(made, Cell):
        check_contract(made)
        return as_layer(made, engine, cache)
    if not isinstance(made, Layer):
        raise _not_there(cell, f"{type(made).__name__}, which is neither a Cell nor a Layer")
    if engine != "auto":
        raise UsageError(
            f"model={cell} cannot run with model.engine={engine}",
            option="model.engine",
            expected=f"auto: {name} is one of torch's own layers, which no engine runs",
            got=engine,
            hint=f"model=custom_{cell} is the same cell on the engine",
        )
    return made


def _maker_of(cell: str) -> Callable[..., object]:
    """What the row of CELLS names; errors inside of its module go on."""
    row: object = CELLS[cell]
    if not (isinstance(row, tuple) and len(row) == 2):
        raise UsageError(
            f"the row {cell!r} of CELLS is not one of a cell",
            expected='a module and a class, as "gru": ("charlab.cells.builtin", "BuiltinGRU")',
            got=repr(row),
            hint="mend it in src/charlab/cells/__init__.py",
            option="model.cell",
        )
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


def as_layer(cell: Cell, engine: str = "auto", cache: Path | None = None) -> Layer:
    """The layer that runs a cell: `as_layer(MyCell(32, 128))`."""
    if engine == "reference":
        return ReferenceLayer(cell)
    return EngineLayer(cell, engine, default_cache() if cache is None else cache)
