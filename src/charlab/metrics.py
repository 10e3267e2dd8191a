"""Exact scores: sums of nats over targets, never means of means.

"Character" is a target: on names the end of a name counts as one, as the line break does in a
file with one name a line; so bits per character and nats per token tell the same thing.
"""

import math
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from charlab.types import IGNORE, Batch


def sequence_nats(logits_TBV: Tensor, targets_TB: Tensor) -> tuple[Tensor, Tensor]:
    """(sum of nats over the real targets, their number), both scalars on the device."""
    nats = functional.cross_entropy(
        logits_TBV.flatten(0, 1), targets_TB.flatten(), ignore_index=IGNORE, reduction="sum"
    )
    return nats, (targets_TB != IGNORE).sum()


def num_documents(batch: Batch) -> Tensor:
    """Rows that begin a document and have something to predict: a filled-up row has nothing."""
    return (batch.reset_B & (batch.targets_TB != IGNORE).any(0)).sum()


def bits_per_char(nats_per_char: float) -> float:
    return nats_per_char / math.log(2)


@final
class LossSums:
    """Running sums over batches, kept on the device until they are read."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._nats: Tensor | float = 0.0
        self._num_targets: Tensor | int = 0
        self._num_documents: Tensor | int = 0

    @torch.no_grad()
    def add(self, nats: Tensor, num_targets: Tensor, num_documents: Tensor) -> None:
        # float64: 5,000,000 targets summed in float32 lose the fourth digit of the mean
        self._nats = self._nats + nats.double()
        self._num_targets = self._num_targets + num_targets
        self._num_documents = self._num_documents + num_documents

    def tensor(self) -> Tensor:
        """[nats, targets, documents], for a sum over processes."""
        parts = (self._nats, self._num_targets, self._num_documents)
        return torch.stack([torch.as_tensor(part, dtype=torch.float64) for part in parts])

    def load(self, tensor: Tensor) -> None:
        """Go on from what `tensor` gave."""
        self._nats, self._num_targets, self._num_documents = tensor.unbind()


def scores(
    prefix: str, sums: Tensor, document: str | None, bytes_per_target: float | None = None
) -> dict[str, float]:
    """The scores of [nats, targets, documents] by name.

    loss is nats per target, bpc bits per target; nats per document where the data have documents,
    bits per byte where targets are characters of known size.
    """
    nats, num_targets, num_documents = sums.tolist()
    named = {
        f"{prefix}/loss": nats / num_targets,
        f"{prefix}/bpc": bits_per_char(nats / num_targets),
    }
    if document is not None:
        named[f"{prefix}/nats_per_{document}"] = nats / num_documents
    if bytes_per_target is not None:
        named[f"{prefix}/bits_per_byte"] = named[f"{prefix}/bpc"] / bytes_per_target
    return named
