"""Running a model over batches with its state carried from one to the next, and exact scores."""

from collections.abc import Iterable

import torch
from torch import Tensor

from charlab.metrics import LossSums, num_documents, sequence_nats
from charlab.model import CharModel
from charlab.types import Batch, ModelState


def batch_nats(
    model: CharModel, batch: Batch, carried: ModelState | None
) -> tuple[Tensor, Tensor, ModelState]:
    """(sum of nats, number of targets, detached state after the batch).

    carried is the state after the batch before, if there was one; rows that begin a document
    forget it. A batch with another number of rows than the one before starts anew.
    """
    rows = len(batch.reset_B)
    if carried is None or len(carried[0][0]) != rows:
        carried = model.initial_state(rows)
    logits_TBV, state = model(batch.inputs_TB, model.forget(carried, batch.reset_B))
    detached = tuple(type(layer)(*(part.detach() for part in layer)) for layer in state)
    return *sequence_nats(logits_TBV, batch.targets_TB), detached


@torch.inference_mode()
def evaluate(model: CharModel, batches: Iterable[Batch]) -> Tensor:
    """[nats, targets, documents] of one pass; the model is used in the mode it is in."""
    sums = LossSums()
    state: ModelState | None = None
    for batch in batches:
        nats, num_targets, state = batch_nats(model, batch, state)
        sums.add(nats, num_targets, num_documents(batch))
    return sums.tensor()
