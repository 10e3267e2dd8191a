"""Shapes and the two types that every part of charlab shares.

A tensor's name ends in its shape, one letter a dimension, outermost first:

    T  time steps of a chunk         B  rows of a batch (sequences side by side)
    E  width of the embedding        I  width of a layer's input
    H  hidden units of a layer       G  gates of a cell times H (GRU 3H, LSTM 4H, RNN H)
    V  symbols of the vocabulary     N  items, such as samples drawn

`x_TBE` is a float tensor [T, B, E]; `tokens_TB` holds symbol ids.
"""

from typing import Any, NamedTuple

from torch import Tensor

# The state of one recurrent layer: a NamedTuple of tensors whose first dimension is B. Opaque to
# all but the layer that made it. The state of a model is a tuple of them, one a layer.
LayerState = Any
ModelState = tuple[LayerState, ...]


class Batch(NamedTuple):
    """One chunk of training or evaluation data.

    inputs_TB   int64 ids that the model reads
    targets_TB  int64 ids it has to predict; `IGNORE` where there is nothing to predict
    reset_B     bool, true where the row begins a new document: the model forgets that row's state
    """

    inputs_TB: Tensor
    targets_TB: Tensor
    reset_B: Tensor


IGNORE = -100
