"""The recurrent layers that torch brings (oneDNN or ATen on a CPU, cuDNN on a GPU)."""

from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor, nn

from charlab.cells.base import GateBlock, HiddenState, Layer, LSTMState, cut_by_gate


class Builtin(Layer):
    """One layer of a torch.nn recurrent module, kept as `rnn`."""

    rnn: nn.RNNBase

    def zeros(self, batch_size: int) -> Tensor:
        return self.rnn.all_weights[0][0].new_zeros(batch_size, self.hidden_size)

    def gate_blocks(self) -> Iterator[GateBlock]:
        input_GI, recurrent_GH, input_bias_G, recurrent_bias_G = self.rnn.all_weights[0]
        yield from cut_by_gate("input", self.gates, input_GI)
        yield from cut_by_gate("recurrent", self.gates, recurrent_GH)
        yield from cut_by_gate("input_bias", self.gates, input_bias_G)
        yield from cut_by_gate("recurrent_bias", self.gates, recurrent_bias_G)


class HiddenBuiltin(Builtin):
    """A builtin whose state is its output."""

    def initial_state(self, batch_size: int) -> HiddenState:
        return HiddenState(self.zeros(batch_size))

    def forward(self, x_TBI: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        y_TBH, h_1BH = self.rnn(x_TBI, state.h_BH[None])
        # under autocast the state stays as precise as the parameters
        return y_TBH, HiddenState(h_1BH[0].to(state.h_BH.dtype))


@final
class BuiltinRNN(HiddenBuiltin):
    """h' = phi(W x + b + U h + c), phi tanh or relu (Elman 1990)."""

    gates = ("new",)

    def __init__(self, input_size: int, hidden_size: int, *, nonlinearity: str) -> None:
        super().__init__(input_size, hidden_size)
        self.rnn = nn.RNN(input_size, hidden_size, nonlinearity=nonlinearity)


@final
class BuiltinGRU(HiddenBuiltin):
    """Reset after the product, z keeps the old state; equations at torch.nn.GRU."""

    gates = ("reset", "update", "new")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.rnn = nn.GRU(input_size, hidden_size)


@final
class BuiltinLSTM(Builtin):
    """Hochreiter & Schmidhuber 1997 with forget gates (Gers 2000); equations at torch.nn.LSTM."""

    gates = ("input", "forget", "new", "output")

    def __init__(self, input_size: int, hidden_size: int, *, forget_bias: float) -> None:
        super().__init__(input_size, hidden_size)
        self.rnn = nn.LSTM(input_size, hidden_size)
        self.gate_biases = {"forget": forget_bias}

    def initial_state(self, batch_size: int) -> LSTMState:
        return LSTMState(self.zeros(batch_size), self.zeros(batch_size))

    def forward(self, x_TBI: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        device = x_TBI.device.type
        if torch.is_autocast_enabled(device):  # oneDNN has no kernel for a wider input
            x_TBI = x_TBI.to(torch.get_autocast_dtype(device))
        y_TBH, (h_1BH, c_1BH) = self.rnn(x_TBI, (state.h_BH[None], state.c_BH[None]))
        return y_TBH, LSTMState(h_1BH[0].to(state.h_BH.dtype), c_1BH[0].to(state.c_BH.dtype))
