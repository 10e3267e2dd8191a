"""A cell as a layer, run by the backend that `charlab.engine.choice` finds for it."""

import itertools
import logging
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any, cast, final
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from charlab.cells.base import Cell, GateLinear
from charlab.engine.choice import Choice, choose
from charlab.engine.op import recurrence, run
from charlab.engine.reference import CellLayer, run_steps
from charlab.types import LayerState

_log = logging.getLogger(__name__)
_said: set[str] = set()
# for torch.compile, whose graphs hold plain values: layers that are alive, by number
_layers: WeakValueDictionary[int, "EngineLayer"] = WeakValueDictionary()
_numbers = itertools.count()


_OF_MODULES = frozenset(vars(nn.Module())) - {"training"}


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _is_narrow(device_type: str, dtype: torch.dtype) -> bool:
    return (
        dtype == torch.float32
        and torch.is_autocast_enabled(device_type)
        and torch.get_autocast_dtype(device_type) == torch.bfloat16
    )


@final
class EngineLayer(CellLayer):
    """Runs a cell on whole chunks.

    engine  one of `charlab.engine.choice.ENGINES`
    cache   folder of compiled code

    What runs it is found at the first call on a kind of device in a type of numbers, or by
    `settle`. It is found anew when an attribute of the cell changes (its mode, a number, a text, a
    container of such), which of its tensors are parameters, or whether its products have hooks.
    """

    def __init__(self, cell: Cell, engine: str, cache: Path) -> None:
        super().__init__(cell)
        self.engine = engine
        self.cache = cache
        self._tails = [tuple(part.shape[1:]) for part in cell.initial_state(1)]
        self._unsettle()

    def _unsettle(self) -> None:
        """Forget all that belongs to this object in this process: copies find their own."""
        self._choices: dict[tuple[object, ...], Choice] = {}
        modules = [one for one in self.cell.modules() if not isinstance(one, GateLinear)]
        self._plain = [
            (vars(module), name)
            for module in modules
            for name, value in vars(module).items()
            if name not in _OF_MODULES
            and (_is_plain(value) or isinstance(value, list | dict | set | np.generic))
        ]
        self._tables: list[Sized] = [module._parameters for module in modules]
        for linear in self.cell.modules():
            if isinstance(linear, GateLinear):
                self._tables += [linear._forward_hooks, linear._forward_pre_hooks]
                self._tables += [linear._backward_hooks, linear._backward_pre_hooks]
        self._number = next(_numbers)
        _layers[self._number] = self

    def __getstate__(self) -> dict[str, Any]:
        own = ("_choices", "_plain", "_tables", "_number")
        return {name: value for name, value in vars(self).items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._unsettle()

    def settle(self, device_type: str, dtype: torch.dtype) -> tuple[str, str | None]:
        """(name of what runs the cell there, why nothing faster does), after preparing it.

        Takes seconds where code has to be compiled. Raises UsageError where `engine` cannot be had.
        """
        choice = self._choice(device_type, dtype)
        if choice.notice is not None:
            _said.add(choice.notice)
        return choice.name, choice.notice

    def _choice(self, device_type: str, dtype: torch.dtype) -> Choice:
        plain: list[object] = [attributes[name] for attributes, name in self._plain]
        key = (device_type, dtype, *map(len, self._tables), *plain)
        try:
            choice = self._choices.get(key)
        except TypeError:  # a container, which is no key
            key = (device_type, dtype, *map(len, self._tables), *map(repr, plain))
            choice = self._choices.get(key)
        if choice is None:
            choice = choose(self.cell, self.engine, device_type, dtype, self.cache)
            self._choices[key] = choice
        return choice

    def stepper(self, state: LayerState) -> Callable[[Tensor], Tensor]:
        first = state[0]
        runner, _, tensors, _ = self._choice(first.device.type, first.dtype)
        if runner is None or torch.is_grad_enabled() or first.device.type == "meta":
            return super().stepper(state)
        self._check(first.new_empty(1, len(first), self.input_size), state)
        parameters = [one.contiguous() for one in self._tensors(tensors, first.dtype, first.device)]
        parts = [part.contiguous() for part in state]
        narrow = _is_narrow(first.device.type, first.dtype)
        step = runner.stepper(parts, parameters, narrow=narrow)
        return super().stepper(state) if step is None else step

    def forward(self, x_TBI: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        dtype, device_type = state[0].dtype, x_TBI.device.type
        if x_TBI.numel() == 0 or device_type == "meta":
            return run_steps(self.cell, x_TBI, state)
        if torch.compiler.is_compiling():
            # reading the mode here makes torch trace again when it changes
            runner = None
            key, tensors = _settled(self._number, device_type, dtype, self.cell.training)
        elif torch._C._functorch.peek_interpreter_stack() or forward_ad._current_level >= 0:
            return run_steps(self.cell, x_TBI, state)  # vmap, jvp: only torch's own operators do
        else:
            runner, key, tensors, notice = self._choice(device_type, dtype)
            if notice is not None and notice not in _said:
                _said.add(notice)
                _log.warning(notice)
        if key == "":
            return run_steps(self.cell, x_TBI, state)

        self._check(x_TBI, state)
        x_TBI = x_TBI if x_TBI.dtype == dtype else x_TBI.to(dtype)
        parts, parameters = list(state), self._tensors(tensors, dtype, x_TBI.device)
        narrow = _is_narrow(device_type, dtype)
        save = torch.is_grad_enabled() and any(
            tensor.requires_grad for tensor in (x_TBI, *parts, *parameters)
        )
        if runner is None or save or type(x_TBI) is not Tensor:
            made = recurrence(x_TBI, parts, parameters, key, narrow, save)
        else:  # calling the operator would cost more than a step of sampling
            made = run(runner, x_TBI, parts, parameters, narrow, save)
        return made[0], type(state)(*made[1 : 1 + len(parts)])

    def _tensors(
        self, wanted: tuple[Any, ...], dtype: torch.dtype, device: torch.device
    ) -> list[Tensor]:
        """The cell's tensors as a runner wants them; wanted: as `Choice.tensors`."""
        made = []
        cell, is_compiling = self.cell, torch.compiler.is_compiling()
        for (*path, name), shape in wanted:
            module: nn.Module = cell
            tensor: Tensor | None = None
            if is_compiling:
                for child in path:
                    module = getattr(module, child)
            else:  # as getattr, which takes a microsecond or two
                for child in path:
                    module = cast(nn.Module, module._modules[child])
                tensor = module._parameters.get(name)
            if tensor is None:  # a buffer, or what a parametrization makes
                tensor = cast(Tensor, getattr(module, name))
            if tensor.shape != shape or tensor.device != device:
                raise ValueError(
                    f"{'.'.join([*path, name])} has the shape {list(tensor.shape)} on "
                    f"{tensor.device}, not {list(shape)} on {device}"
                )
            if tensor.dtype != dtype and tensor.is_floating_point():
                tensor = tensor.to(dtype)
            made.append(tensor)
        return made

    def _check(self, x_TBI: Tensor, state: LayerState) -> None:
        """Compiled code reads memory as it is told to: what it is told has to be right."""
        if x_TBI.dim() != 3 or x_TBI.shape[2] != self.input_size:
            raise ValueError(f"x has the shape {list(x_TBI.shape)}, not [T, B, {self.input_size}]")
        for part, tail in zip(state, self._tails, strict=True):
            if part.shape != (x_TBI.shape[1], *tail) or part.dtype != state[0].dtype:
                raise ValueError(
                    f"a part of the state is {part.dtype} {list(part.shape)}, "
                    f"not {state[0].dtype} {[x_TBI.shape[1], *tail]}"
                )
            if part.device != x_TBI.device:
                raise ValueError(f"the state is on {part.device}, x on {x_TBI.device}")


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _settled(
    number: int, device_type: str, dtype: torch.dtype, training: bool
) -> tuple[str, tuple[Any, ...]]:
    choice = _layers[number]._choice(device_type, dtype)
    return choice.key, choice.tensors
