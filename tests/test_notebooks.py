"""The notebooks' models and recipes, against independent re-makings of them."""

import json

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from charlab.config.compose import Composer
from charlab.model import build_model

from .running import ROOT, rows, train, write_names


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


@pytest.mark.parametrize("cell", ["gru", "custom_gru"])
def test_the_enwik8_notebooks_recipe_is_ours(cell):
    composed = Composer(ROOT / "conf", "config", None).compose(
        [f"experiment=notebook_enwik8_{cell}"]
    )
    config = OmegaConf.to_object(composed)
    assert (config.model.cell, config.model.num_layers, config.model.hidden_size) == (cell, 2, 300)
    assert (config.data.name, config.data.batch_size, config.data.seq_len) == (
        "enwik8_chars",
        512,
        100,
    )
    assert (config.data.stateful, config.model.dropout) == (False, 0)
    assert (config.optimizer.name, config.optimizer.lr) == ("adam", 1e-3)
    assert (config.scheduler.name, config.trainer.gradient_clip) == ("constant", 0)
    samples = config.callbacks.samples
    assert (samples.every_n_steps, samples.max_length) == (50, 100)
    assert (samples.long_every_n_steps, samples.long_max_length) == (100, 300)
    if cell == "custom_gru":
        form = (config.model.bias, config.model.reset, config.model.update_gate)
        assert form == ("none", "before", "admit")


def test_the_enwik8_notebooks_log_is_ours(tmp_path, capsys):
    """Its mean loss and seconds of each epoch, and its samples, on a text at hand."""
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat.\n" * 600, encoding="utf-8")
    exit_code, run = train(
        tmp_path,
        "experiment=notebook_enwik8_gru",
        "data=text",
        f"data.path={text}",
        "data.symbols=chars",
        "data.seq_len=20",
        "trainer.max_steps=null",
        "trainer.max_epochs=2",
        "trainer.val_every_n_steps=null",
        "trainer.log_every_n_steps=1",
    )
    assert exit_code == 0
    told = capsys.readouterr().out
    metrics = rows(run / "metrics.jsonl")
    losses = [row["train/loss"] for row in metrics if "train/loss" in row]
    epochs = [row for row in metrics if "epoch/loss" in row]
    assert len(epochs) == 2
    half = len(losses) // 2
    for number, part in enumerate((losses[:half], losses[half:])):
        assert epochs[number]["epoch/loss"] == pytest.approx(sum(part) / half, rel=1e-6)
        assert epochs[number]["step"] == half * (number + 1)
        assert f"epoch {number}  mean loss {sum(part) / half:.4f} nats" in told


def test_the_names_notebooks_mistake_halves_the_loss_and_leaves_nats_a_name(tmp_path, capsys):
    """Letters that fill names up are easy: the mean over them hides what the names cost."""
    names = write_names(tmp_path)
    names.write_text(names.read_text("utf-8") + "Wolfeschlegelsteinhausen\n", "utf-8")
    where = (f"data.path={names}", "callbacks.samples.prompts=[Trump]")
    asked = [f"experiment=notebook_names{kind}" for kind in ("", "_padded")]
    scores, records = [], []
    for experiment in asked:
        long = ("trainer.max_steps=150", "optimizer.lr=1e-2")
        exit_code, run = train(tmp_path, experiment, *where, *long)
        assert exit_code == 0
        records.append(json.loads((run / "run.json").read_text("utf-8")))
        scores.append(records[-1]["scores"])
    assert "every name is filled up with 's'" in capsys.readouterr().out
    right, mistaken = scores
    assert mistaken["test/loss"] < 0.7 * right["test/loss"]
    assert mistaken["test/nats_per_name"] > right["test/nats_per_name"]
    longest = len(records[0]["data"]["lengths"]) - 1
    targets = mistaken["test/nats_per_name"] / mistaken["test/loss"]
    assert targets == pytest.approx(longest + 1)  # the end of the name is one
    drawn = [row for row in rows(run / "samples.jsonl") if row["temperature"] == 0.5]
    assert sum(row["text"].endswith("ss") for row in drawn[-4:]) >= 3
