"""The contract of recurrent layers and cells.

A `Layer` turns a chunk of a sequence into outputs and a state; `torch.nn`'s recurrent modules are
layers. A `Cell` is one step: the engine (`charlab.engine`) turns a cell into a layer. Neither
knows about data, models or training. `charlab.cells.CELLS` is the table of all of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple, final, get_args

from torch import Tensor, nn

from charlab.types import LayerState

BiasForm = Literal["both", "input", "none"]
Role = Literal["input", "recurrent", "input_bias", "recurrent_bias"]


class GateBlock(NamedTuple):
    """The part of a parameter that belongs to one gate; initialisers write into it.

    tensor is a view: [H, I] (input), [H, H] (recurrent) or [H] (biases).
    """

    role: Role
    gate: str
    tensor: Tensor


class HiddenState(NamedTuple):
    """State of a layer whose output is all it remembers (RNN, GRU)."""

    h_BH: Tensor


class LSTMState(NamedTuple):
    """State of an LSTM: its output and its memory cell."""

    h_BH: Tensor
    c_BH: Tensor


class Recurrent(nn.Module, ABC):
    """What layers and cells have in common: their sizes, their first state, their gates.

    gates       names of the gates, in the order of their blocks in the input product
    gate_biases value that the bias of a gate has at the start, whatever the initialiser
    """

    gates: tuple[str, ...]
    gate_biases: Mapping[str, float]

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.gate_biases = {}

    @abstractmethod
    def initial_state(self, batch_size: int) -> LayerState:
        """The state before any input, on the device and in the type of the parameters."""

    @abstractmethod
    def gate_blocks(self) -> Iterator[GateBlock]:
        """Every parameter, cut by gate: all of a role (in the order of `Role`), gate by gate.

        Layers with the same gates and biases then start from the same numbers under one seed.
        """


class Layer(Recurrent):
    """A recurrent layer: feeding two chunks in turn equals feeding their join."""

    @abstractmethod
    def forward(self, x_TBI: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """Outputs [T, B, H] for each step of the chunk, and the state after the last one."""

    def stepper(self, state: LayerState) -> Callable[[Tensor], Tensor]:
        """A function from x [B, I] to y [B, H] that goes on from the state, a step a call.

        For drawing text: without autograd, and with parameters that stay as they are meanwhile.
        """

        def step(x_BI: Tensor) -> Tensor:
            nonlocal state
            y_TBH, state = self.forward(x_BI[None], state)
            return y_TBH[0]

        return step


@final
class GateLinear(nn.Linear):
    """A product whose output is one block of hidden_size for each of its gates."""

    def __init__(self, in_size: int, hidden_size: int, gates: tuple[str, ...], bias: bool) -> None:
        super().__init__(in_size, len(gates) * hidden_size, bias=bias)
        self.gates = gates


class Cell(Recurrent):
    """One step of a recurrent layer: an input product, recurrent products, elementwise functions.

    A subclass makes its recurrent products with `recurrent_linear` and writes `step`. The first
    tensor of its state is its output. The input product is left to the engine, which does it for
    all steps at once.

    bias: "both" puts a bias on the input product and on the recurrent ones, as torch.nn does
    (redundant except inside a reset product), "input" on the input product only, "none" nowhere.

    Raises ValueError for gates that are not a tuple of different names, and for another bias.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: BiasForm) -> None:
        super().__init__(input_size, hidden_size)
        self._check(getattr(self, "gates", None), bias)
        self.bias = bias
        self.input_linear = GateLinear(input_size, hidden_size, self.gates, bias != "none")

    def _check(self, gates: object, bias: str) -> None:
        names = gates if isinstance(gates, tuple) else ()
        if not (
            names and len(set(names)) == len(names) and {type(gate) for gate in names} == {str}
        ):
            name = type(self).__name__
            raise ValueError(f'{name}.gates is {gates!r}: give different names, ("forget", "new")')
        if bias not in get_args(BiasForm):
            forms = ", ".join(map(repr, get_args(BiasForm)))
            raise ValueError(f"bias is {bias!r}: give one of {forms}")

    def recurrent_linear(self, *gates: str) -> GateLinear:
        """A product from [B, H] to [B, len(gates) * H].

        Raises ValueError for gates that the cell has not, or named twice.
        """
        if not gates or len(set(gates)) < len(gates) or not set(gates) <= set(self.gates):
            raise ValueError(f"recurrent_linear{gates}: give some of the gates {self.gates}, once")
        return GateLinear(self.hidden_size, self.hidden_size, gates, self.bias == "both")

    @abstractmethod
    def step(self, x_BG: Tensor, state: LayerState) -> LayerState:
        """The state after one step, from the projected input and the state before it."""

    def initial_state(self, batch_size: int) -> LayerState:
        return HiddenState(self.input_linear.weight.new_zeros(batch_size, self.hidden_size))

    def gate_blocks(self) -> Iterator[GateBlock]:
        products = [module for module in self.children() if isinstance(module, GateLinear)]
        recurrent = [module for module in products if module is not self.input_linear]
        yield from cut_by_gate("input", self.gates, self.input_linear.weight)
        for linear in recurrent:
            yield from cut_by_gate("recurrent", linear.gates, linear.weight)
        if self.bias != "none":
            yield from cut_by_gate("input_bias", self.gates, self.input_linear.bias)
        if self.bias == "both":
            for linear in recurrent:
                yield from cut_by_gate("recurrent_bias", linear.gates, linear.bias)


def cut_by_gate(role: Role, gates: tuple[str, ...], parameter: Tensor) -> Iterator[GateBlock]:
    """The blocks of a parameter whose first dimension holds one block of H rows a gate."""
    blocks = parameter.detach().chunk(len(gates))
    return (GateBlock(role, gate, block) for gate, block in zip(gates, blocks, strict=True))
