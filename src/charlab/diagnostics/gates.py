"""How open the gates of a model are.

A gate is whatever a cell puts through a sigmoid: a cell of one's own needs to say nothing about it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from charlab.cells.base import Cell, Layer
from charlab.cells.builtin import Builtin
from charlab.diagnostics.unroll import Unrolled, copied
from charlab.engine.reference import CellLayer
from charlab.model import CharModel
from charlab.types import LayerState

# Karpathy et al. 2015, section 4.2: left- and right-saturated
LOW, HIGH = 0.1, 0.9
# what a layer without gates has in their place
STATE = "state"
# the gate of torch.nn's layers that is none: it goes through a tanh
NEW = "new"
SIGMOIDS = (
    torch.sigmoid,
    torch.sigmoid_,
    torch.special.expit,
    Tensor.sigmoid,
    Tensor.sigmoid_,
)


@final
class Saturation(NamedTuple):
    """Parts of a gate's values, over units, steps and rows, below LOW and above HIGH; their mean.

    Of `STATE`: of the absolute values of h. A tanh is saturated where they are high; a unit of a
    relu is off where they are low.
    """

    low: float
    high: float
    mean: float


@torch.no_grad()
def gate_saturation(model: CharModel, unrolled: Unrolled) -> dict[str, Saturation]:
    """By "LAYER GATE", layers from 1 on, gates as the cell calls them in `gates`.

    A sigmoid whose gate cannot be told is "sigmoid N", the N-th that a step computes.
    """
    found: dict[str, Saturation] = {}
    for number, layer in enumerate(model.layers):
        before = [_detached(state[number]) for state in unrolled.states[:-1]]
        gates = _gates(layer, unrolled.inputs[number], before, unrolled.is_real_TB)
        if not gates:
            after_TBH = torch.stack([state[number][0] for state in unrolled.states[1:]])
            gates = {STATE: after_TBH[unrolled.is_real_TB].abs()}
        found |= {f"{number + 1} {gate}": _saturation(gates[gate]) for gate in gates}
    return found


def saturated_part(gates: Mapping[str, Saturation]) -> float:
    """The part of all values that are saturated, each gate counting the same."""
    parts = [
        one.high + (0 if name.endswith(f" {STATE}") else one.low) for name, one in gates.items()
    ]
    return sum(parts) / len(parts)


def _detached(state: LayerState) -> LayerState:
    return type(state)(*(part.detach() for part in state))


def _saturation(values: Tensor) -> Saturation:
    wide = values.double()
    parts = ((wide < LOW).double(), (wide > HIGH).double(), wide)
    return Saturation(*(float(part.mean()) for part in parts))


def _gates(
    layer: Layer, x_TBI: Tensor, before: Sequence[LayerState], is_real_TB: Tensor
) -> dict[str, Tensor]:
    """The values of each gate at the steps that have a target, in any shape."""
    if isinstance(layer, Builtin):
        h_TBH = torch.stack([state[0] for state in before])
        return _builtin_gates(layer, x_TBI[is_real_TB], h_TBH[is_real_TB])
    assert isinstance(layer, CellLayer)
    return _cell_gates(layer.cell, x_TBI, before, is_real_TB)


def _builtin_gates(layer: Builtin, x_NI: Tensor, h_NH: Tensor) -> dict[str, Tensor]:
    """sigmoid(W x + b + U h + c), as the equations at torch.nn.GRU and LSTM have each gate."""
    input_GI, recurrent_GH, input_bias_G, recurrent_bias_G = layer.rnn.all_weights[0]
    pre_NG = functional.linear(x_NI, input_GI, input_bias_G)
    pre_NG = pre_NG + functional.linear(h_NH, recurrent_GH, recurrent_bias_G)
    blocks = zip(layer.gates, pre_NG.chunk(len(layer.gates), -1), strict=True)
    return {gate: block_NH.sigmoid() for gate, block_NH in blocks if gate != NEW}


def _cell_gates(
    cell: Cell, x_TBI: Tensor, before: Sequence[LayerState], is_real_TB: Tensor
) -> dict[str, Tensor]:
    x_TBG = cell.input_linear(x_TBI).to(before[0][0].dtype)
    # at the first step a state of zeros hides what depends on it
    names = _names(cell, x_TBG[:2][-1], before[:2][-1])
    kept: dict[str, list[Tensor]] = {}
    for x_BG, state, is_real_B in zip(x_TBG, before, is_real_TB, strict=True):
        for name, values in zip(names, _sigmoids_of_step(cell, x_BG, state), strict=False):
            of_rows = values.shape[:1] == is_real_B.shape
            kept.setdefault(name, []).append((values[is_real_B] if of_rows else values).flatten())
    in_order = [name for name in cell.gates if name in kept]
    return {name: torch.cat(kept[name]) for name in dict.fromkeys([*in_order, *kept])}


def _sigmoids_of_step(cell: Cell, x_BG: Tensor, state: LayerState) -> Iterator[Tensor]:
    with _Sigmoids() as watched:
        cell.step(x_BG, copied(state))
    for _, values in watched.calls:
        yield from _blocks(values, cell.hidden_size)


def _blocks(values: Tensor, hidden_size: int) -> Sequence[Tensor]:
    """What is as wide as several gates, cut into them."""
    width = values.shape[-1] if values.dim() > 1 else 0
    is_several = width > hidden_size and width % hidden_size == 0
    return values.chunk(width // hidden_size, -1) if is_several else (values,)


def _names(cell: Cell, x_BG: Tensor, state: LayerState) -> list[str]:
    """Of each block of a step's sigmoids, in turn."""
    names: list[str] = []
    with torch.enable_grad():
        x_BG = x_BG.clone().requires_grad_()
        with _Sigmoids() as watched:
            cell.step(x_BG, copied(state))
        pres = [block for pre, _ in watched.calls for block in _blocks(pre, cell.hidden_size)]
        for number, pre in enumerate(pres, 1):
            gate = _gate_of(pre, x_BG, cell.gates)
            names.append(gate if gate is not None and gate not in names else f"sigmoid {number}")
    return names


def _gate_of(pre: Tensor, x_BG: Tensor, gates: Sequence[str]) -> str | None:
    """The gate whose share of the input product is in it, alone or as a plain summand."""
    if not pre.requires_grad:
        return None
    (grad,) = torch.autograd.grad(
        pre.sum(), x_BG, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    shares = dict(zip(gates, grad.chunk(len(gates), -1), strict=True))
    inside = [gate for gate, share in shares.items() if bool((share != 0).any())]
    summands = [gate for gate in inside if bool((shares[gate] == 1).all())]
    for found in (inside, summands):
        if len(found) == 1:
            return found[0]
    return None


@final
class _Sigmoids(TorchFunctionMode):
    """Keeps (argument, result) of each sigmoid that is computed in it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func not in SIGMOIDS:
            return func(*args, **(kwargs or {}))
        pre = (args[0] if args else (kwargs or {})["input"]).clone()  # it may be written over
        made = func(*args, **(kwargs or {}))
        self.calls.append((pre, made.clone()))
        return made
