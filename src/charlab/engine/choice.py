"""Which backend runs a cell: the one that was asked for, or the fastest one that can."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, final
from weakref import WeakValueDictionary

import torch

from charlab.cells.base import Cell
from charlab.engine.eager import EagerRunner
from charlab.engine.op import register
from charlab.engine.probe import NotRepeatable
from charlab.engine.program import Program
from charlab.engine.runner import Runner
from charlab.engine.skeleton import Skeleton, parameter_names, tensor_of
from charlab.errors import UsageError

ENGINES = ("auto", "compiled", "eager", "reference")


@final
class Choice(NamedTuple):
    """What runs a cell on one kind of device in one type of numbers.

    runner  None: the reference's loop over steps
    key     its name for `charlab::recurrence`, "" where there is none
    tensors of the cell that it is given: (parts of the name, shape)
    notice  why it is not a faster one, for the user; None where there is nothing to say
    """

    runner: Runner | None
    key: str
    tensors: tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]
    notice: str | None

    @property
    def name(self) -> str:
        return "reference" if self.runner is None else self.runner.name


def _of(runner: Runner, cell: Cell, notice: str | None = None) -> Choice:
    tensors = tuple(
        (tuple(name.split(".")), tuple(tensor_of(cell, name).shape))
        for name in parameter_names(cell)
    )
    return Choice(runner, register(runner), tensors, notice)


def _loop(notice: str | None = None) -> Choice:
    return Choice(None, "", (), notice)


@final
class _Impossible(Exception):
    """There is no generated code. The reason completes "... runs in plain torch: "."""


def choose(cell: Cell, engine: str, device_type: str, dtype: torch.dtype, cache: Path) -> Choice:
    """engine: one of ENGINES. cache: the folder that keeps compiled code.

    auto takes generated code, else whole sequences in plain torch, else the reference's loop.
    Raises UsageError where another engine is asked for and cannot run the cell.
    """
    name = type(cell).__name__
    if engine == "reference":
        return _loop()
    try:
        eager = EagerRunner(cell)
    except NotRepeatable as error:
        if engine == "auto":
            return _loop(f"{name} runs one step at a time: {error.reason}")
        raise _cannot(name, engine, error.reason, "auto, or model.engine=reference") from error
    if engine == "eager":
        return _of(eager, cell)
    try:
        runner = _generated(cell, device_type, dtype, cache)
    except _Impossible as error:
        if engine == "auto":
            first_line = str(error).partition("\n")[0]  # of what a compiler says, for instance
            notice = f"{name} runs in plain torch, which is slower than compiled: {first_line}"
            return _of(eager, cell, notice)
        raise _cannot(name, engine, str(error), "auto, or model.engine=eager") from error
    return _of(runner, cell)


def _cannot(cell: str, engine: str, reason: str, hint: str) -> UsageError:
    return UsageError(
        f"{cell} cannot run with model.engine={engine}",
        option="model.engine",
        expected="a step that the engine can run, and what it needs on this machine",
        got=reason,
        hint=f"model.engine={hint}",
    )


# the same program is compiled, and loaded, once for all layers; what failed is not tried again
_made: WeakValueDictionary[object, Runner] = WeakValueDictionary()
_failed: dict[object, str] = {}


def _generated(cell: Cell, device_type: str, dtype: torch.dtype, cache: Path) -> Runner:
    """Raises _Impossible."""
    if device_type not in MAKERS:
        raise _Impossible(f"there is no generated code for a device of type {device_type}")
    from charlab.engine.trace import NotElementwise, trace_cell

    try:
        program = trace_cell(cell)
    except NotElementwise as error:
        raise _Impossible(error.reason) from error
    except Exception as error:  # of torch, where a step does what nobody thought of
        raise _Impossible(f"{type(error).__name__}: {error}") from error
    skeleton = Skeleton(cell)
    names = (skeleton.parameter_names, skeleton.linear_names, skeleton.other_names)
    key = (program, names, cell.input_size, cell.hidden_size, device_type, dtype, cache)
    if key in _failed:
        raise _Impossible(_failed[key])
    runner = _made.get(key)
    if runner is None:
        try:
            runner = _made[key] = MAKERS[device_type](program, skeleton, dtype, cache)
        except _Impossible as error:
            _failed[key] = str(error)
            raise
    return runner


def _for_cpu(program: Program, skeleton: Skeleton, dtype: torch.dtype, cache: Path) -> Runner:
    if dtype not in (torch.float32, torch.float64):
        raise _Impossible(f"there is no generated code for numbers of type {dtype}")
    from charlab.engine.cpu.build import CompileFailed
    from charlab.engine.cpu.runner import CompiledRunner

    try:
        return CompiledRunner(program, skeleton, dtype, cache)
    except CompileFailed as error:
        raise _Impossible(": ".join(filter(None, (error.what, error.got)))) from error


def _for_cuda(program: Program, skeleton: Skeleton, dtype: torch.dtype, cache: Path) -> Runner:
    from charlab.engine.gpu.fit import why_not

    reason = why_not(dtype)
    if reason is not None:
        raise _Impossible(reason)
    from charlab.engine.gpu.runner import TritonRunner

    return TritonRunner(program, skeleton, dtype)


MAKERS: Mapping[str, Callable[[Program, Skeleton, torch.dtype, Path], Runner]] = {
    "cpu": _for_cpu,
    "cuda": _for_cuda,
}
