"""The LightningModule: what the loss weighs, what is carried, what dropout depends on."""

import math

import pytest
import torch
from omegaconf import OmegaConf

from charlab.config.compose import Composer
from charlab.data.dataset import build_dataset
from charlab.data.report import SilentReport
from charlab.evaluation import batch_nats
from charlab.lit import CharLitModule, seed_generators, step_seed
from charlab.model import build_model
from charlab.types import Batch
from charlab.world import World

from .running import ROOT, write_names


def built(tmp_path, *overrides):
    """(lit module, data) of a small configuration, without a Trainer."""
    composed = Composer(ROOT / "conf", "config", None).compose(
        [
            f"data.path={write_names(tmp_path)}",
            "data.batch_size=16",
            "model.hidden_size=8",
            "model.dropout=0",
            *overrides,
        ]
    )
    config = OmegaConf.to_object(composed)
    data = build_dataset(config.data, config.seed, tmp_path / "cache", World(), SilentReport())
    model = build_model(config.model, len(data.vocabulary), config.seed)
    batches = data.module.train_dataloader()
    lit = CharLitModule(
        model,
        config,
        total_steps=10,
        mean_targets=batches.mean_targets,
        document=data.document,
        bytes_per_target=data.bytes_per_target,
        metadata={},
    )
    return lit, data


def test_over_an_epoch_each_target_weighs_the_same(tmp_path):
    lit, data = built(tmp_path)
    batches = list(data.module.train_dataloader())
    assert len({batch.targets_TB.shape[0] for batch in batches}) > 1
    mean_loss = sum(lit.training_step(batch, 0).item() for batch in batches) / len(batches)
    nats = [batch_nats(lit.model, batch, None)[:2] for batch in batches]
    exact = sum(n.item() for n, _ in nats) / sum(int(k) for _, k in nats)
    assert mean_loss == pytest.approx(exact, rel=1e-6)
    assert int(lit.new_chars) == sum(int(k) for _, k in nats)


def test_train_sums_are_exact_over_batches_of_any_size(tmp_path):
    lit, data = built(tmp_path)
    for batch in data.module.train_dataloader():
        lit.training_step(batch, 0)
    nats, num_targets, num_documents = lit.train_sums.tensor().tolist()
    corpus = data.module.corpus
    assert num_documents == len(corpus.train)
    assert num_targets == sum(len(name) + 1 for name in corpus.train)
    assert nats / num_targets == pytest.approx(math.log(len(data.vocabulary)), rel=0.2)


def test_training_and_validation_carry_separate_states(tmp_path):
    lit, _ = built(tmp_path)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, 10, (3, 7, 2), generator=generator)
    keep, reset = torch.zeros(2, dtype=torch.bool), torch.ones(2, dtype=torch.bool)
    first = Batch(ids[0, :-1], ids[0, 1:], reset)
    second = Batch(ids[1, :-1], ids[1, 1:], keep)
    other = Batch(ids[2, :-1], ids[2, 1:], reset)
    lit.training_step(first, 0)
    undisturbed = lit.training_step(second, 1).item()
    lit.training_step(first, 0)
    lit.validation_step(other, 0)
    assert lit.training_step(second, 1).item() == undisturbed
    # and it does carry: a document that begins there scores otherwise
    assert lit.training_step(second._replace(reset_B=reset), 1).item() != undisturbed


def test_the_carried_state_is_cut_from_the_graph(tmp_path):
    lit, _ = built(tmp_path)
    ids = torch.randint(4, 10, (7, 2), generator=torch.Generator().manual_seed(0))
    for _ in range(2):  # a second backward through the first chunk would raise
        lit.training_step(Batch(ids[:-1], ids[1:], torch.zeros(2, dtype=torch.bool)), 0).backward()


def test_dropout_is_a_function_of_seed_and_step(tmp_path):
    lit, data = built(tmp_path, "model.dropout=0.5")
    batch = next(iter(data.module.train_dataloader()))
    losses = []
    for global_state in (1, 2):
        torch.manual_seed(global_state)
        losses.append(lit.training_step(batch, 0).item())
    assert losses[0] == losses[1]
    other, _ = built(tmp_path, "model.dropout=0.5", "seed=1")
    other.model.load_state_dict(lit.model.state_dict())
    assert other.training_step(batch, 0).item() != losses[0]


def test_seeding_draws_as_torch_does_and_files_nothing_away():
    torch.manual_seed(123)
    expected = torch.rand(5)
    filed = len(torch.cuda._queued_calls)
    seed_generators(123, torch.device("cpu"))
    assert torch.equal(torch.rand(5), expected)
    assert len(torch.cuda._queued_calls) == filed


def test_step_seeds_differ_in_their_low_32_bits():
    seeds = {
        step_seed(seed, step, rank) & 0xFFFFFFFF
        for seed in range(4)
        for step in range(500)
        for rank in range(2)
    }
    assert len(seeds) == 4 * 500 * 2
