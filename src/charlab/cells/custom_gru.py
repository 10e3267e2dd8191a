"""The gated recurrent unit as a step function, in all the forms that share its name."""

from typing import final

from torch import Tensor

from charlab.cells.base import BiasForm, Cell, HiddenState


@final
class CustomGRU(Cell):
    """GRU (Cho et al. 2014, eq. 5 to 8), by default exactly as the enwik8 notebook wrote it.

    r, z = sigmoid(W x + U h)
    n    = tanh(W x + U (r h))    reset="before" the product (Cho 2014, the notebook)
         = tanh(W x + r (U h))    reset="after" it (cuDNN, torch.nn.GRU)
    h'   = (1-z) h + z n          update_gate="admit": z lets the new state in (the notebook)
         = z h + (1-z) n          update_gate="keep": z holds the old one (torch.nn.GRU)

    bias="both", reset="after", update_gate="keep" equals torch.nn.GRU.
    """

    gates = ("reset", "update", "new")

    def __init__(
        self, input_size: int, hidden_size: int, *, bias: BiasForm, reset: str, update_gate: str
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        self.reset = reset
        self.update_gate = update_gate
        self.recur_rz = self.recurrent_linear("reset", "update")
        self.recur_n = self.recurrent_linear("new")

    def step(self, x_BG: Tensor, state: HiddenState) -> HiddenState:
        h = state.h_BH
        x_r, x_z, x_n = x_BG.chunk(3, -1)
        u_r, u_z = self.recur_rz(h).chunk(2, -1)
        r, z = (x_r + u_r).sigmoid(), (x_z + u_z).sigmoid()
        u_n = self.recur_n(r * h) if self.reset == "before" else r * self.recur_n(h)
        n = (x_n + u_n).tanh()
        return HiddenState(h + z * (n - h) if self.update_gate == "admit" else n + z * (h - n))
