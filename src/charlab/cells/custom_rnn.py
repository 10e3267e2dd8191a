"""The plain recurrent network as a step function."""

from typing import final

from torch import Tensor

from charlab.cells.base import BiasForm, Cell, HiddenState


@final
class CustomRNN(Cell):
    """h' = phi(W x + U h), phi tanh or relu (Elman 1990).

    relu with bias="input" is the names notebook's layer on [x, h].
    """

    gates = ("new",)

    def __init__(
        self, input_size: int, hidden_size: int, *, nonlinearity: str, bias: BiasForm
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        self.nonlinearity = nonlinearity
        self.recur = self.recurrent_linear("new")

    def step(self, x_BG: Tensor, state: HiddenState) -> HiddenState:
        a_BH = x_BG + self.recur(state.h_BH)
        return HiddenState(a_BH.relu() if self.nonlinearity == "relu" else a_BH.tanh())
