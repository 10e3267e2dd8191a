"""Whether the methods of a cell return what `charlab.cells.base` asks of them."""

import copy
import inspect
from collections.abc import Sequence

import torch
from torch import Tensor

from charlab.cells.base import Cell
from charlab.errors import UsageError


def check_contract(cell: Cell) -> None:
    """Look at its first state and at one step. Raises UsageError where one is no state.

    What the methods themselves raise goes on: it is the cell's own.
    """
    _check_initial_state(cell)
    _check_step(cell)


def _check_initial_state(cell: Cell) -> None:
    name = f"{type(cell).__name__}.initial_state"
    try:
        inspect.signature(cell.initial_state).bind(1)
    except TypeError as error:
        got = f"{name}{inspect.signature(cell.initial_state)}: {error}"
        raise _no_state(name, "(self, batch_size)", cell.hidden_size, got) from error
    state: object = cell.initial_state(1)
    if wrong := _wrong_with(state, 1, cell.hidden_size):
        raise _no_state(name, "(self, batch_size)", cell.hidden_size, wrong)


def _check_step(cell: Cell) -> None:
    """One step of two rows."""
    weight = cell.input_linear.weight
    if weight.is_meta:  # without numbers, some steps cannot run
        return
    probe = copy.copy(cell)  # a step may keep something in `self`
    probe._buffers = dict(cell._buffers)
    before = cell.initial_state(2)
    with torch.no_grad():
        after: object = probe.step(weight.new_zeros(2, len(weight)), before)
    wrong = _wrong_with(after, 2, cell.hidden_size)
    if not wrong and type(after) is not type(before):
        wrong = f"{type(after).__name__}, where the state before it is {type(before).__name__}"
    if wrong:
        name = f"{type(cell).__name__}.step"
        raise _no_state(name, "(self, x_BG, state)", cell.hidden_size, wrong)


def _wrong_with(state: object, num_rows: int, hidden_size: int) -> str:
    """What is wrong with it as a state; empty where it is one."""
    parts: Sequence[str] = getattr(state, "_fields", ())
    if not (isinstance(state, tuple) and parts):
        return f"{type(state).__name__}, which is no NamedTuple"
    for part, tensor in zip(parts, state, strict=True):
        shape = list(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
        if shape != [num_rows, hidden_size]:
            return f"{part} is {shape} for a batch of {num_rows}"
    return ""


def _no_state(name: str, arguments: str, hidden_size: int, got: str) -> UsageError:
    return UsageError(
        f"{name} does not return a state",
        expected=f"def {name.partition('.')[2]}{arguments} that returns a NamedTuple of tensors "
        f"[batch_size, {hidden_size}], the output first",
        got=got,
        hint="src/charlab/cells/custom_lstm.py has a state of two parts",
        option="model.cell",
    )
