"""The score of a text does not depend on how it is cut to be scored."""

import copy
import math

import numpy as np
import pytest
import torch

from charlab.config.schema import LSTMConfig, ModelConfig
from charlab.data.epochs import ONE_PROCESS
from charlab.evaluation import batch_nats, evaluate
from charlab.model import build_model
from charlab.types import Batch
from charlab.world import World

from .data.streams import Parts, mapped, module

V, NUM_SYMBOLS, WARMUP = 12, 13_000, 200
# Bits per symbol: lanes forget what came before their warm-up, windows forget nothing.
LANES_TOLERANCE, WINDOWS_TOLERANCE = 1e-3, 1e-6


def text():
    """Runs of rising and of falling symbols: which one it is shows in nothing but the past."""
    generator = np.random.default_rng(0)
    direction = np.where(generator.random(NUM_SYMBOLS) < 0.1, -1, 1).cumprod()
    jump = generator.random(NUM_SYMBOLS) < 0.05
    steps = np.where(jump, generator.integers(0, V, NUM_SYMBOLS), direction)
    return steps.cumsum() % V


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Train is in front, so that no split begins where the file does."""
    symbols = np.concatenate([text()[:2000], text(), text()[:2000]])
    cuts = (0, 2000, 2000 + NUM_SYMBOLS, 4000 + NUM_SYMBOLS)
    return Parts(mapped(tmp_path_factory.mktemp("text"), symbols), cuts)


@pytest.fixture(scope="module", params=["gru", "lstm"])
def model(request, parts):
    """Trained for a moment, as a stream trains: its state tells it which way the text runs."""
    config = {"gru": ModelConfig, "lstm": LSTMConfig}[request.param]
    model = build_model(config(cell=request.param, hidden_size=24), V, 0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loader = module(parts, batch_size=8, seq_len=20).train_dataloader()
    for _ in range(8):
        state = None
        for batch in loader:
            nats, num_targets, state = batch_nats(model, batch, state)
            optimizer.zero_grad()
            (nats / num_targets).backward()
            optimizer.step()
    return model.eval()


def sums(model, parts, lanes, window, *, warmup=WARMUP, world=ONE_PROCESS, split="val"):
    """[nats, targets, documents]"""
    options = {"eval_lanes": lanes, "eval_window": window, "eval_warmup": warmup}
    data = module(parts, world=world, **options)
    assert data.num_eval_lanes(split) == lanes
    return evaluate(model, data.eval_dataloader(split))


def bits(found):
    nats, num_targets, _ = found.tolist()
    assert num_targets == NUM_SYMBOLS - 1
    return nats / num_targets / math.log(2)


@pytest.fixture(scope="module")
def one_pass(model):
    """Bits per symbol, the text read in one go: no loader, no batches, no carried state."""
    symbols = torch.from_numpy(text())
    with torch.no_grad():
        logits, _ = model(symbols[:-1, None], model.initial_state(1))
    picked = logits[:, 0].double().log_softmax(-1)[torch.arange(NUM_SYMBOLS - 1), symbols[1:]]
    return -picked.mean().item() / math.log(2)


@pytest.mark.parametrize("window", [50, 100, 1000, 10**9])
def test_one_lane_scores_what_one_pass_does(model, parts, one_pass, window):
    assert abs(bits(sums(model, parts, 1, window)) - one_pass) < WINDOWS_TOLERANCE


@pytest.mark.parametrize("window", [50, 100, 1000])
@pytest.mark.parametrize("lanes", [8, 64])
def test_lanes_and_windows_do_not_show(model, parts, one_pass, lanes, window):
    assert abs(bits(sums(model, parts, lanes, window)) - one_pass) < LANES_TOLERANCE


def test_the_state_matters_here(model, parts, one_pass):
    """What the tests above would find: lanes without a warm-up, a state that is not carried."""
    assert abs(bits(sums(model, parts, 64, 50, warmup=0)) - one_pass) > 2 * LANES_TOLERANCE
    forgetful = [
        Batch(batch.inputs_TB, batch.targets_TB, torch.ones_like(batch.reset_B))
        for batch in module(parts, eval_lanes=1, eval_window=50).val_dataloader()
    ]
    assert abs(bits(evaluate(model, forgetful)) - one_pass) > 10 * LANES_TOLERANCE


@pytest.mark.parametrize(("lanes", "size"), [(1, 2), (3, 2), (8, 2), (8, 3)])
def test_processes_add_up_to_one(model, parts, lanes, size):
    """In float64, so that nothing but the order of the sums differs, which moves digit 15.

    In float32 the products of matrices of other heights round otherwise, in digit 7.
    """
    for exact, tolerance in [(copy.deepcopy(model).double(), 1e-12), (model, 1e-6)]:
        whole = sums(exact, parts, lanes, 100, split="test")
        worlds = [World(rank, size) for rank in range(size)]
        ranks = [sums(exact, parts, lanes, 100, world=world, split="test") for world in worlds]
        torch.testing.assert_close(sum(ranks), whole, rtol=tolerance, atol=0)
