"""The long short-term memory as a step function."""

from typing import final

from torch import Tensor

from charlab.cells.base import BiasForm, Cell, LSTMState


@final
class CustomLSTM(Cell):
    """LSTM with forget gates (Hochreiter & Schmidhuber 1997, Gers 2000), as torch.nn.LSTM has it.

    i, f, o = sigmoid(W x + U h);  n = tanh(W x + U h);  c' = f c + i n;  h' = o tanh(c')
    """

    gates = ("input", "forget", "new", "output")

    def __init__(
        self, input_size: int, hidden_size: int, *, forget_bias: float, bias: BiasForm
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        self.gate_biases = {"forget": forget_bias}
        self.recur = self.recurrent_linear(*self.gates)

    def initial_state(self, batch_size: int) -> LSTMState:
        zeros_BH = self.input_linear.weight.new_zeros(batch_size, self.hidden_size)
        return LSTMState(zeros_BH, zeros_BH)

    def step(self, x_BG: Tensor, state: LSTMState) -> LSTMState:
        i, f, n, o = (x_BG + self.recur(state.h_BH)).chunk(4, -1)
        c_BH = f.sigmoid() * state.c_BH + i.sigmoid() * n.tanh()
        return LSTMState(o.sigmoid() * c_BH.tanh(), c_BH)
