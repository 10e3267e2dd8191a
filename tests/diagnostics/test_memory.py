"""How far back a model remembers, against finite differences and direct sums."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from charlab.diagnostics import memory
from charlab.diagnostics.memory import bits_by_position, grad_norm_by_lag, memory_steps

from ..cells.table import CASES, ENGINES, FIRST, case_id
from ..engine import odd_cells
from .making import LENGTHS, batch, model_of, model_of_class, unrolled

# one form of each cell, under every engine; the slower ones of these in the slow tests alone
EACH = [
    pytest.param(row, engine, marks=[] if engine in ("auto", ENGINES[-1]) else pytest.mark.slow)
    for row, engine in CASES
    if row is FIRST[row.cell]
]


def nats_of_row(model, of, row, step, state):
    """Of the row's last target, from any state after `step` on; by the model's own forward."""
    last = LENGTHS[row] - 1
    if step == last:
        logits = model.logits(model.prepared(state[-1][0], len(state)))[row]
    else:
        logits = model(of.inputs_TB[step + 1 : last + 1], state)[0][-1, row]
    return float(functional.cross_entropy(logits, of.targets_TB[last, row]))


@torch.no_grad()
def norm_by_differences(model, of, row, step, eps=1e-5):
    """|d nats / d state after `step`|, a number of the state at a time."""
    _, state = model(of.inputs_TB[: step + 1], model.initial_state(of.inputs_TB.shape[1]))
    total = 0.0
    for layer in range(len(state)):
        for part in range(len(state[layer])):
            for unit in range(state[layer][part].shape[1]):
                found = []
                for shift in (eps, -eps):
                    moved = [[one.clone() for one in parts] for parts in state]
                    moved[layer][part][row, unit] += shift
                    whole = tuple(type(old)(*new) for old, new in zip(state, moved))
                    found.append(nats_of_row(model, of, row, step, whole))
                total += ((found[0] - found[1]) / (2 * eps)) ** 2
    return math.sqrt(total)


def norms_by_differences(model, of):
    norms = {}
    for row, length in enumerate(LENGTHS):
        for lag in range(length):
            found = norm_by_differences(model, of, row, length - 1 - lag)
            norms.setdefault(lag, []).append(found)
    return [np.mean(norms[lag]) for lag in range(max(LENGTHS))]


@pytest.mark.parametrize(("row", "engine"), EACH, ids=case_id)
def test_the_gradient_of_each_lag_is_that_of_finite_differences(row, engine):
    model = model_of(row.cell, row.options, engine).eval()
    found = grad_norm_by_lag(unrolled(model, batch()))
    assert found == pytest.approx(norms_by_differences(model, batch()), rel=1e-6, abs=1e-9)
    assert found[3] > 1e-4


@pytest.mark.parametrize("kind", [{"layer_norm": True}, {"tie_weights": True}, {"dropout": 0.4}])
def test_every_kind_of_model_has_its_own_gradient(kind):
    model = model_of("custom_gru", FIRST["custom_gru"].options, num_layers=3, **kind).eval()
    found = grad_norm_by_lag(unrolled(model, batch()))
    assert found == pytest.approx(norms_by_differences(model, batch()), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("cell", [odd_cells.NoProduct, odd_cells.Peephole, odd_cells.InPlace])
def test_odd_states_have_gradients_too(cell):
    """A part that is handed on as it is, a cell that looks at its memory, one that overwrites it"""
    model = model_of_class(cell, "auto").eval()
    found = grad_norm_by_lag(unrolled(model, batch()))
    if cell is not odd_cells.InPlace:  # its forward writes over the state that is handed to it
        assert found == pytest.approx(norms_by_differences(model, batch()), rel=1e-6, abs=1e-9)
    reference = model_of_class(cell, "reference").eval()
    assert found == pytest.approx(grad_norm_by_lag(unrolled(reference, batch())), rel=1e-9)


def test_what_is_forgotten_at_once_has_no_gradient():
    """In a cell whose state does not depend on the one before."""
    found = grad_norm_by_lag(unrolled(model_of_class(odd_cells.Forgetful, "auto", 1), batch()))
    assert found[0] > 0
    assert found[1:] == [0.0] * (len(found) - 1)
    assert memory_steps(found) == 1


def test_a_row_without_any_target_counts_nowhere():
    model = model_of("gru", {})
    whole, missing = batch((6, 4)), batch((6, 4))
    for of in (whole, missing):
        of.targets_TB[:, 1] = -100
    alone = type(whole)(*(tensor[..., :1] for tensor in whole))
    both = grad_norm_by_lag(unrolled(model, whole))
    assert both == pytest.approx(grad_norm_by_lag(unrolled(model, alone)))
    assert bits_by_position(unrolled(model, whole)) == pytest.approx(
        bits_by_position(unrolled(model, alone))
    )


@torch.no_grad()
def test_bits_by_position_are_means_over_the_rows_that_get_there():
    model, of = model_of("lstm", {"forget_bias": 1.0}), batch()
    logits_TBV, _ = model.eval()(of.inputs_TB, model.initial_state(len(LENGTHS)))
    probs = logits_TBV.softmax(-1)
    wanted = []
    for position in range(max(LENGTHS)):
        rows = [row for row, length in enumerate(LENGTHS) if length > position]
        bits = [-math.log2(probs[position, row, of.targets_TB[position, row]]) for row in rows]
        wanted.append(sum(bits) / len(rows))
    assert bits_by_position(unrolled(model, of)) == pytest.approx(wanted, rel=1e-12)


def test_a_mean_over_too_few_rows_is_left_out(monkeypatch):
    monkeypatch.setattr(memory, "MIN_PART", 0.6)
    found = unrolled(model_of("gru", {}), batch())
    # 4, 3, 3, 3, 2, 2 rows get to a position, and as many have a lag
    assert len(bits_by_position(found)) == 4
    assert len(grad_norm_by_lag(found)) == 4


@pytest.mark.parametrize(
    ("norms", "steps"),
    [
        ([1.0, 0.5, 0.2, 0.06, 0.05, 0.01], 4),
        # that at lag 0 does not count, and the first lag does even where it rises again
        ([9.0, 0.5, 0.04, 0.5], 2),
        # as many as there are, where it is never so small
        ([1.0, 0.5, 0.2], 3),
        ([1.0, 2.0, 4.0, 8.0], 4),
        ([1.0, 0.0, 0.0], 1),
        ([1.0], 1),
    ],
)
def test_memory_ends_where_a_tenth_is_left(norms, steps):
    assert memory_steps(norms) == steps


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_memory_of_a_model_that_diverged_is_no_number(bad):
    assert math.isnan(memory_steps([1.0, 0.5, bad]))
