"""The multiplicative LSTM as a step function; torch has none."""

from typing import final

from torch import Tensor

from charlab.cells.base import BiasForm, Cell, LSTMState


@final
class MLSTM(Cell):
    """Multiplicative LSTM (Krause et al. 2016): each input symbol has a transition of its own.

    m = (W x) (U h)    (eq. 18), then the LSTM of custom_lstm with m in the place of h:
    i, f, o = sigmoid(W x + U m);  n = tanh(W x + U m);  c' = f c + i n;  h' = o tanh(c')

    So it differs from that LSTM in m alone. Forms with o inside the last tanh, h' = tanh(o c'), or
    without a tanh in n go by the same name. Biases are those of `bias`, those of m inside its
    factors: the paper's m has none.
    """

    gates = ("multiplier", "input", "forget", "new", "output")

    def __init__(
        self, input_size: int, hidden_size: int, *, forget_bias: float, bias: BiasForm
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        self.gate_biases = {"forget": forget_bias}
        self.recur_m = self.recurrent_linear("multiplier")
        self.recur = self.recurrent_linear("input", "forget", "new", "output")

    def initial_state(self, batch_size: int) -> LSTMState:
        zeros_BH = self.input_linear.weight.new_zeros(batch_size, self.hidden_size)
        return LSTMState(zeros_BH, zeros_BH)

    def step(self, x_BG: Tensor, state: LSTMState) -> LSTMState:
        x_m, x_gates = x_BG.tensor_split([self.hidden_size], -1)
        m_BH = x_m * self.recur_m(state.h_BH)
        i, f, n, o = (x_gates + self.recur(m_BH)).chunk(4, -1)
        c_BH = f.sigmoid() * state.c_BH + i.sigmoid() * n.tanh()
        return LSTMState(o.sigmoid() * c_BH.tanh(), c_BH)
