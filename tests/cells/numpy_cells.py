"""Recurrent cells in numpy, one row and one step at a time, as their papers print them.

Nothing here knows charlab. Weights come by (role, gate): ("input", g) is W [H, I],
("recurrent", g) is U [H, H], ("input_bias", g) and ("recurrent_bias", g) are b and c [H], absent
where a form has none; ("own", name) is another parameter of a cell. x is [T, B, I]; a state is a
list of arrays [B, H] whose first is the output.
"""

from functools import partial

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def relu(a):
    return np.maximum(a, 0)


class Products:
    """The two products of a gate, with the biases that there are."""

    def __init__(self, weights):
        self.weights = weights

    def from_input(self, gate, x):
        return self.weights["input", gate] @ x + self.weights.get(("input_bias", gate), 0)

    def from_hidden(self, gate, h):
        return self.weights["recurrent", gate] @ h + self.weights.get(("recurrent_bias", gate), 0)

    def both(self, gate, x, h):
        return self.from_input(gate, x) + self.from_hidden(gate, h)


def rnn(p, x, h, *, phi):
    """Elman 1990."""
    return (phi(p.both("new", x, h)),)


def gru(p, x, h, *, reset, update_gate):
    """Cho et al. 2014, eq. 5 to 8 for reset "before" and update_gate "keep"."""
    r = sigmoid(p.both("reset", x, h))
    z = sigmoid(p.both("update", x, h))
    gated = {
        "before": lambda: p.from_hidden("new", r * h),
        "after": lambda: r * p.from_hidden("new", h),
    }[reset]()
    n = np.tanh(p.from_input("new", x) + gated)
    kept = {"keep": z, "admit": 1 - z}[update_gate]
    return (kept * h + (1 - kept) * n,)


def lstm(p, x, h, c):
    """Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000, no peepholes."""
    i = sigmoid(p.both("input", x, h))
    f = sigmoid(p.both("forget", x, h))
    o = sigmoid(p.both("output", x, h))
    c = f * c + i * np.tanh(p.both("new", x, h))
    return o * np.tanh(c), c


def mlstm(p, x, h, c):
    """Krause et al. 2016: what an LSTM reads of h is scaled by x, unit by unit."""
    m = p.from_input("multiplier", x) * p.from_hidden("multiplier", h)
    return lstm(p, x, m, c)


def run(step, weights, x_TBI, state):
    """(outputs [T, B, H], final state) of a step function over a whole sequence."""
    products = Products(weights)
    outputs_TBH = np.empty((*x_TBI.shape[:2], state[0].shape[1]))
    final = [part.copy() for part in state]
    for b in range(x_TBI.shape[1]):
        row = tuple(part[b] for part in state)
        for t in range(len(x_TBI)):
            row = step(products, x_TBI[t, b], *row)
            outputs_TBH[t, b] = row[0]
        for part, value in zip(final, row, strict=True):
            part[b] = value
    return outputs_TBH, final


RNN = {"tanh": partial(rnn, phi=np.tanh), "relu": partial(rnn, phi=relu)}
