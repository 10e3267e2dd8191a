"""The notebooks' models and recipes, against independent re-makings of them."""

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from charlab.config.compose import Composer
from charlab.model import build_model

from .running import ROOT


class NotebookRNN(nn.Module):
    """The names notebook's network: embed, h = relu(W [x, h] + b), logits."""

    def __init__(self, num_symbols):
        super().__init__()
        self.embed = nn.Embedding(num_symbols, 16)
        self.to_hidden = nn.Linear(16 + 64, 64)
        self.to_logits = nn.Linear(64, num_symbols)

    def forward(self, ids_TB):
        h_BH = torch.zeros(ids_TB.shape[1], 64)
        logits = []
        for ids_B in ids_TB:
            h_BH = self.to_hidden(torch.cat([self.embed(ids_B), h_BH], 1)).relu()
            logits.append(self.to_logits(h_BH))
        return torch.stack(logits)


def test_the_names_notebooks_network_is_ours():
    composed = Composer(ROOT / "conf", "config", None).compose(["experiment=notebook_names"])
    config = OmegaConf.to_object(composed)
    ours = build_model(config.model, 59, seed=0)
    theirs = NotebookRNN(59)
    assert ours.num_params == sum(p.numel() for p in theirs.parameters())
    cell = ours.layers[0].cell
    with torch.no_grad():
        theirs.embed.weight.copy_(ours.embedding.weight)
        theirs.to_hidden.weight.copy_(torch.cat([cell.input_linear.weight, cell.recur.weight], 1))
        theirs.to_hidden.bias.copy_(cell.input_linear.bias)
        theirs.to_logits.load_state_dict(ours.head.state_dict())
    ids_TB = torch.randint(0, 59, (11, 5), generator=torch.Generator().manual_seed(0))
    expected = theirs(ids_TB)
    logits, _ = ours(ids_TB, ours.initial_state(5))
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)
    grads = [
        torch.autograd.grad(out.logsumexp(-1).sum(), model.parameters())
        for out, model in ((logits, ours), (expected, theirs))
    ]
    assert sum(g.square().sum() for g in grads[0]) == pytest.approx(
        sum(float(g.square().sum()) for g in grads[1]), rel=1e-4
    )
