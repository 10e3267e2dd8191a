"""Gradients of the weights and biases of products, in either of two ways.

summed    each thread adds up all weights while D, the gradient of pre-activations, is in the cache;
          what is left is to add up the threads
products  D of all steps is kept, and torch multiplies: for weights so large that a sum for each
          thread takes too much memory
"""

from collections.abc import Iterator, Sequence
from typing import final

import torch
from torch import Tensor

from charlab.engine.cpu.layout import Layout, Run

# Bytes of weights that each thread may add up for itself.
SUMMED_UP_TO = 2**24


@final
class WeightGradients:
    """Where they are made, and how they come into `grads`.

    linears  positions of weight and bias in grads, of the input product, then of each call
    size     numbers of all weights, run by run
    """

    def __init__(
        self,
        layout: Layout,
        linears: Sequence[tuple[int, int | None]],
        grads: list[Tensor],
        x_TBI: Tensor,
        hidden_size: int,
    ) -> None:
        self._layout = layout
        self._linears = linears
        self._grads = grads
        self._hidden_size = hidden_size
        self._widths = [x_TBI.shape[2]] + [hidden_size] * len(layout.program.calls)
        self._num_columns = layout.num_columns * hidden_size
        self._like = x_TBI
        self.size = sum(
            run.blocks * hidden_size * self._widths[product] for product, run in self._runs()
        )
        self.are_summed = self.size * x_TBI.element_size() <= SUMMED_UP_TO

    def _runs(self) -> Iterator[tuple[int, Run]]:
        for product, runs in enumerate(self._layout.runs):
            for run in runs:
                yield product, run

    def room(self, num_threads: int, num_rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """(weights summed, columns of D summed, D), without numbers where not used."""
        have_bias = any(bias is not None for _, bias in self._linears)
        threads = num_threads if self.are_summed else 0
        return (
            self._like.new_zeros(threads, self.size),
            self._like.new_zeros(
                threads if have_bias else 0, self._num_columns, dtype=torch.float64
            ),
            self._like.new_empty(0 if self.are_summed else num_rows, self._num_columns),
        )

    def take_sums(self, summed: Tensor, columns: Tensor) -> None:
        weights, biases, start = summed.sum(0), columns.sum(0).to(summed.dtype), 0
        for product, run in self._runs():
            end = start + run.blocks * self._hidden_size * self._widths[product]
            weight, bias, place = self._rows(product, run)
            weight += weights[start:end].view_as(weight)
            if bias is not None:
                bias += biases[place]
            start = end

    def take_products(
        self,
        D: Tensor,
        x_TBI: Tensor,
        state: Sequence[Tensor],
        y_TBH: Tensor,
        saved: Sequence[Tensor],
    ) -> None:
        parts = [y_TBH, *saved[:-1]]
        size, batch_size = self._hidden_size, y_TBH.shape[1]
        for product, run in self._runs():
            weight, bias, columns = self._rows(product, run)
            d = D[:, columns]
            part, column = self._layout.place_of_input(product - 1) if product else (-1, 0)
            if part >= 0:
                weight.addmm_(d[batch_size:].T, parts[part][:-1].flatten(0, 1))
                weight.addmm_(d[:batch_size].T, state[part])
            else:
                read = saved[-1][..., column * size : (column + 1) * size] if product else x_TBI
                weight.addmm_(d.T, read.flatten(0, 1))
            if bias is not None:
                bias += d.sum(0)

    def _rows(self, product: int, run: Run) -> tuple[Tensor, Tensor | None, slice]:
        """(rows of the weight, of the bias, columns of D) of a run."""
        size, (weight, bias) = self._hidden_size, self._linears[product]
        rows = slice(run.block * size, (run.block + run.blocks) * size)
        columns = slice(run.column * size, (run.column + run.blocks) * size)
        return self._grads[weight][rows], None if bias is None else self._grads[bias][rows], columns
