"""Schedules against torch's and against closed forms; which parameters AdamW decays."""

import math

import pytest
import torch
from torch import nn

from charlab.config.schema import (
    AdamConfig,
    AdamWConfig,
    ConstantConfig,
    CosineConfig,
    ModelConfig,
    OneCycleConfig,
)
from charlab.model import build_model
from charlab.optim import build_optimizer, lr_factor

TOTALS = (1, 2, 3, 4, 7, 10, 50, 333)


def cosine(warmup, final=0.05):
    return CosineConfig(name="cosine", warmup_fraction=warmup, final_lr_fraction=final)


def one_cycle(warmup, initial=0.04, final=1e-4):
    return OneCycleConfig(
        name="one_cycle",
        warmup_fraction=warmup,
        initial_lr_fraction=initial,
        final_lr_fraction=final,
    )


SCHEDULES = [
    ConstantConfig(name="constant"),
    *(cosine(warmup, final) for warmup in (0.0, 0.02, 0.3, 0.9) for final in (0.0, 0.05, 1.0)),
    *(one_cycle(warmup) for warmup in (0.02, 0.1, 0.3, 0.5, 0.9)),
    one_cycle(0.3, initial=1.0, final=0.5),
]
every_schedule = pytest.mark.parametrize(
    "config", SCHEDULES, ids=lambda config: "-".join(map(str, vars(config).values()))
)


def factors(config, total):
    return [lr_factor(config, step, total) for step in range(total)]


# ---------------------------------------------------------------------------------------- schedules
@pytest.mark.parametrize(
    ("total", "warmup", "initial", "final"),
    [
        # torch divides by zero or starts past the peak unless warmup * total > 1
        (3, 0.5, 0.04, 1e-4),
        (10, 0.3, 0.04, 1e-4),
        (25, 0.1, 0.04, 1e-4),
        (40, 0.9, 0.2, 0.01),
        (100, 0.1, 0.5, 0.3),
        (333, 0.3, 0.04, 1e-4),
    ],
)
def test_one_cycle_is_torchs(total, warmup, initial, final):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=total,
        pct_start=warmup,
        cycle_momentum=False,
        div_factor=1 / initial,
        final_div_factor=initial / final,
    )
    expected = []
    for step in range(total):
        expected.append(schedule.get_last_lr()[0])
        optimizer.step()
        if step < total - 1:
            schedule.step()
    assert factors(one_cycle(warmup, initial, final), total) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("total", [2, 3, 10, 50, 333])
@pytest.mark.parametrize("warmup", [0.0, 0.02, 0.3, 0.6])
def test_cosine_is_its_closed_form(total, warmup):
    """Warm-up in equal parts that end at 1, then f + (1 - f) cos^2 of a quarter turn."""
    final = 0.05
    num_warmup = round(warmup * total)
    rest = total - num_warmup
    up = [part / num_warmup for part in range(1, num_warmup + 1)]
    quarter = math.pi / 2
    down = [
        final + (1 - final) * math.cos(quarter * (k / (rest - 1) if rest > 1 else 0)) ** 2
        for k in range(rest)
    ]
    assert factors(cosine(warmup, final), total) == pytest.approx(up + down, abs=1e-12)


def test_cosine_of_known_numbers():
    assert factors(cosine(0.4, 0.2), 5) == pytest.approx([0.5, 1, 1, 0.6, 0.2])
    assert factors(one_cycle(0.6, initial=0.5, final=0.1), 5) == pytest.approx(
        [0.5, 0.75, 1, 0.55, 0.1]
    )


def test_constant_is_one():
    assert factors(ConstantConfig(name="constant"), 5) == [1.0] * 5


@every_schedule
@pytest.mark.parametrize("total", TOTALS)
def test_factors_lie_between_0_and_1_and_go_up_once_then_down(config, total):
    found = factors(config, total)
    assert all(0 <= factor <= 1 for factor in found)
    peak = found.index(max(found))
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True)


@every_schedule
def test_past_the_end_the_last_factor_stays(config):
    for total in TOTALS:
        last = lr_factor(config, total - 1, total)
        past = [lr_factor(config, total + k, total) for k in (0, 1, 5, 10 * total)]
        assert past == [last] * 4, f"{total} steps"


@pytest.mark.parametrize("total", [10, 50, 330])
def test_the_peak_is_reached_and_both_ends_are_those_asked_for(total):
    for warmup in (0.0, 0.1, 0.5):
        found = factors(cosine(warmup), total)
        assert max(found) == 1.0
        assert found[-1] == pytest.approx(0.05)
    for warmup in (0.2, 0.5):  # of a whole number of steps
        found = factors(one_cycle(warmup), total)
        assert found[round(warmup * total) - 1] == max(found) == pytest.approx(1.0)
        assert (found[0], found[-1]) == (pytest.approx(0.04), pytest.approx(1e-4))


# --------------------------------------------------------------------------------------- optimizers
def stepped(config, *, fused):
    """(parameters before, after) one step with zero gradients, where only decay can move them."""
    model = build_model(
        ModelConfig(cell="gru", layer_norm=True, tie_weights=True, num_layers=2), 11, 0
    )
    before = {}
    for name, parameter in model.named_parameters():
        nn.init.constant_(parameter, 2.0)
        parameter.grad = torch.zeros_like(parameter)
        before[name] = parameter.detach().clone()
    build_optimizer(config, model, fused=fused).step()
    return before, dict(model.named_parameters())


@pytest.mark.parametrize("fused", [False, True])
def test_adamw_shrinks_matrices_and_leaves_biases_and_norms(fused):
    config = AdamWConfig(name="adamw", lr=0.1, weight_decay=0.5)
    before, after = stepped(config, fused=fused)
    undecayed = {name for name in before if "bias" in name or "norms" in name}
    assert len(undecayed) == 2 * 2 + 2 * 3 + 1  # of two layers, three norms, the head
    for name in before:
        factor = 1.0 if name in undecayed else 1 - 0.1 * 0.5
        torch.testing.assert_close(after[name].detach(), before[name] * factor, rtol=1e-6, atol=0)


@pytest.mark.parametrize("fused", [False, True])
def test_adam_decays_nothing(fused):
    before, after = stepped(AdamConfig(name="adam", lr=0.1), fused=fused)
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("config_class", [AdamConfig, AdamWConfig])
def test_two_steps_follow_the_published_update(config_class):
    """Kingma & Ba 2015, algorithm 1, and Loshchilov & Hutter 2019, algorithm 2."""
    config = config_class(name="", lr=0.02, beta1=0.7, beta2=0.9, eps=1e-3)
    decay = getattr(config, "weight_decay", 0.0)
    linear = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(linear.weight, 1.5)
    optimizer = build_optimizer(config, linear, fused=False)
    w, m, v = 1.5, 0.0, 0.0
    for t, g in enumerate((0.3, -2.0), 1):
        linear.weight.grad = torch.full((1, 1), g, dtype=torch.float64)
        optimizer.step()
        m = 0.7 * m + 0.3 * g
        v = 0.9 * v + 0.1 * g * g
        w -= 0.02 * decay * w
        w -= 0.02 * (m / (1 - 0.7**t)) / (math.sqrt(v / (1 - 0.9**t)) + 1e-3)
        assert linear.weight.item() == pytest.approx(w, abs=1e-12)


def test_frozen_parameters_are_left_out():
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    model[0].requires_grad_(False)
    optimizer = build_optimizer(AdamWConfig(name="adamw"), model, fused=False)
    held = {p for group in optimizer.param_groups for p in group["params"]}
    assert held == set(model[1].parameters())
