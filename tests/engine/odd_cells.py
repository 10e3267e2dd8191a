"""Cells that nobody ships: what a user's own step may hold.

ELEMENTWISE can be compiled; ANY runs in plain torch, on whole sequences; AGAIN only step by step,
as running a step a second time would give something else, or leave something undone.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrizations

from charlab.cells.base import Cell, HiddenState, LSTMState


class Own(Cell):
    """What all of them share: two gates, one product."""

    gates = ("one", "two")

    def __init__(self, input_size, hidden_size, bias="both"):
        super().__init__(input_size, hidden_size, bias)
        self.recur = self.recurrent_linear("one", "two")
        self.add(hidden_size)

    def add(self, size):
        """Its own parts."""

    def step(self, x_BG, state):
        one, two = (x_BG + self.recur(state.h_BH)).chunk(2, -1)
        return HiddenState(self.new(one, two, state.h_BH))

    def new(self, one, two, h):
        return h + one.sigmoid() * (two.tanh() - h)


class Peephole(Own):
    """A vector [H], a vector [3H], a scalar, and a memory cell that the gates look at."""

    gates = ("input", "forget", "new", "output")

    def __init__(self, input_size, hidden_size, bias="both"):
        Cell.__init__(self, input_size, hidden_size, bias)
        self.recur = self.recurrent_linear(*self.gates)
        self.peep = nn.Parameter(torch.randn(3 * hidden_size))
        self.start = nn.Parameter(torch.randn(hidden_size))
        self.sharpness = nn.Parameter(torch.tensor(1.5))

    def initial_state(self, batch_size):
        zeros = self.input_linear.weight.new_zeros(batch_size, self.hidden_size)
        return LSTMState(zeros, zeros)

    def step(self, x_BG, state):
        i, f, n, o = (x_BG + self.recur(state.h_BH)).chunk(4, -1)
        p_i, p_f, p_o = self.peep.chunk(3)
        i = (i + p_i * state.c_BH).sigmoid()
        f = (f + p_f * (state.c_BH - self.start)).sigmoid()
        c = f * state.c_BH + i * torch.tanh(self.sharpness * n)
        return LSTMState((o + p_o * c).sigmoid() * c.tanh(), c)


class Several(Own):
    """Products in a container, one of them used twice, one after another, one not at all."""

    def __init__(self, input_size, hidden_size, bias="both"):
        Cell.__init__(self, input_size, hidden_size, bias)
        self.steps = nn.ModuleList([self.recurrent_linear("one"), self.recurrent_linear("two")])
        self.idle = self.recurrent_linear("one")

    def step(self, x_BG, state):
        one, two = x_BG.chunk(2, -1)
        h = state.h_BH
        a = (one + self.steps[0](h)).sigmoid()
        b = self.steps[1](a * h) * self.steps[0](a)
        return HiddenState((two + b).tanh())


class NoProduct(Own):
    """Without any recurrent product, and a state that is handed on as it is."""

    def __init__(self, input_size, hidden_size, bias="both"):
        Cell.__init__(self, input_size, hidden_size, bias)

    def initial_state(self, batch_size):
        zeros = self.input_linear.weight.new_zeros(batch_size, self.hidden_size)
        return LSTMState(zeros, zeros)

    def step(self, x_BG, state):
        one, two = x_BG.chunk(2, -1)
        return LSTMState(one.sigmoid() * state.h_BH + two * state.c_BH, state.c_BH)


class Forgetful(Own):
    """The state after a step does not depend on the one before."""

    def step(self, x_BG, state):
        one, two = x_BG.chunk(2, -1)
        return HiddenState(one.sigmoid() * two.tanh())


class Constant(Own):
    """A product of numbers that no state is in."""

    def step(self, x_BG, state):
        one, two = (x_BG + self.recur(torch.ones_like(state.h_BH))).chunk(2, -1)
        return HiddenState(one.tanh() * state.h_BH + two.sigmoid())


class Detached(Own):
    """The loss does not depend on one of its products, nor on its input."""

    def add(self, size):
        self.other = self.recurrent_linear("one")

    def step(self, x_BG, state):
        one, two = self.recur(state.h_BH).to(x_BG.dtype).chunk(2, -1)
        seen = self.other((x_BG.chunk(2, -1)[0] * state.h_BH).tanh()).detach()
        return HiddenState(one.sigmoid() * torch.where(seen > 0, two, -two).tanh())


class Vanishing(Own):
    """An option that is 0: the forward needs the gates no more, the backward might."""

    def add(self, size):
        self.share = 0.0

    def new(self, one, two, h):
        return (h + self.share * (one / (2 + two.tanh()))).tanh() + 0.1 * two


class Clamped(Own):
    """Comparisons, clamps, powers, and plain attributes."""

    limit = 0.7

    def add(self, size):
        self.scale = 1.25

    def new(self, one, two, h):
        a = torch.where(one > 0, one.clamp(max=self.limit), 0.1 * one)
        return (self.scale * a**2 + two.clamp(-1, 1) - 0.5 * h.abs()).tanh()


class Shared(Own):
    """One weight under two names."""

    def add(self, size):
        self.other = self.recurrent_linear("one", "two")
        self.other.weight = self.recur.weight

    def step(self, x_BG, state):
        one, two = (x_BG + self.recur(state.h_BH)).chunk(2, -1)
        three, four = self.other(one.tanh()).chunk(2, -1)
        return HiddenState((two + three).tanh() * four.sigmoid())


class Normed(Own):
    """A layer norm in the step, with weights of its own."""

    def add(self, size):
        self.norm = nn.LayerNorm(size)

    def new(self, one, two, h):
        return h + one.sigmoid() * (self.norm(two).tanh() - h)


class Mixed(Own):
    """Units of one row meet: a softmax, and a linear that is not one of the engine's."""

    def add(self, size):
        self.mix = nn.Linear(size, size)

    def new(self, one, two, h):
        return one.softmax(-1) * self.mix(h) + two.tanh()


class Masked(Own):
    """A buffer, and Python's own arithmetic."""

    def add(self, size):
        self.register_buffer("mask", (torch.arange(size) % 2).float())
        self.register_buffer("places", torch.arange(size).flip(0))

    def new(self, one, two, h):
        for power in range(1, 3):
            one = one + self.mask * two / (1 + power)
        return one.tanh()[:, self.places]


class Weighted(Own):
    """The weight of the product, and another parameter, are functions of others."""

    def add(self, size):
        self.gain = nn.Parameter(torch.randn(size))
        parametrizations.weight_norm(self.recur)
        nn.utils.parametrize.register_parametrization(self, "gain", Softplus())

    def new(self, one, two, h):
        return (self.gain * one + two - h).tanh()


class Softplus(nn.Module):
    def forward(self, x):
        return nn.functional.softplus(x)


class Abroad(Own):
    """A function that torch does not see, with its derivative."""

    def new(self, one, two, h):
        return NumpyTanh.apply(one + two) - 0.5 * h


class NumpyTanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = torch.from_numpy(np.tanh(x.detach().numpy()))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return torch.from_numpy(grad.detach().numpy() * (1 - y.numpy() ** 2))


class Moded(Own):
    """Another step in training than after it, without any draw."""

    def new(self, one, two, h):
        return (one + two).tanh() if self.training else (one - two).tanh()


class Dropped(Own):
    """Dropout in the step."""

    def add(self, size):
        self.dropout = nn.Dropout(0.5)

    def new(self, one, two, h):
        return h + one.sigmoid() * (self.dropout(two).tanh() - h)


class Looking(Own):
    """Values decide what the step does."""

    def new(self, one, two, h):
        return (one + two).tanh() if one.sum() > 0 else two.tanh()


class InPlace(Own):
    def step(self, x_BG, state):
        state.h_BH.add_(1)
        return super().step(x_BG, state)


class Keeping(Own):
    """Leaves its gate behind for someone to look at."""

    def new(self, one, two, h):
        self.last = one.sigmoid()
        return h + self.last * (two.tanh() - h)


class Reading(Own):
    """Uses the weight of its product in another way than by the product."""

    def new(self, one, two, h):
        return (one + two + h @ self.recur.weight[: self.hidden_size]).tanh()


class Hooked(Own):
    """The old way to have a weight be a function of others."""

    def add(self, size):
        self.recur.register_forward_hook(lambda module, inputs, output: 0.5 * output)


ELEMENTWISE = (
    *(Own, Peephole, Several, NoProduct, Forgetful, Constant, Clamped, Shared),
    Vanishing,
)
ANY = (Normed, Mixed, Masked, Weighted, Abroad, Moded)
AGAIN = {
    Dropped: "it draws random numbers",
    Looking: "values of tensors decide what it does",
    InPlace: "RuntimeError: a leaf Variable that requires grad",
    Keeping: "it sets self.last",
    Reading: "AttributeError: 'Tap' object has no attribute 'weight'",
    Hooked: "recur has hooks",
}
