"""Optimizers and learning-rate schedules by name, from their configuration."""

import math
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from charlab.config.schema import (
    AdamWConfig,
    CosineConfig,
    OneCycleConfig,
    OptimizerConfig,
    SchedulerConfig,
)


def build_optimizer(config: OptimizerConfig, model: nn.Module, *, fused: bool) -> Optimizer:
    """Adam or AdamW by the class of its configuration; AdamW decays matrices alone.

    fused: one kernel for all parameters; GradScaler (precision 16-mixed) cannot unscale for it.
    """
    common: dict[str, Any] = {
        "lr": config.lr,
        "betas": (config.beta1, config.beta2),
        "eps": config.eps,
        "fused": fused,
    }
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if isinstance(config, AdamWConfig):
        groups = [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW([group for group in groups if group["params"]], **common)
    return torch.optim.Adam(parameters, **common)


def lr_factor(config: SchedulerConfig, step: int, total_steps: int) -> float:
    """Learning rate of step 0, 1, ... total_steps - 1, as a part of the highest one.

    A pure function of the step, so a resumed run needs no state for it. Past the last step the
    factor stays at its last value.

    constant   1
    cosine     linear from 1/w to 1 over w = warmup_fraction * total_steps steps, then half a
               cosine down to final_lr_fraction (Loshchilov & Hutter 2017, without restarts)
    one_cycle  half a cosine up from initial_lr_fraction, half a cosine down to final_lr_fraction
               (Smith & Topin 2018 in the form of torch's OneCycleLR)
    """
    step = min(step, total_steps - 1)
    last = max(total_steps - 1, 1)
    if isinstance(config, CosineConfig):
        warmup = round(config.warmup_fraction * total_steps)
        if step < warmup:
            return (step + 1) / warmup
        return _half_cosine(1.0, config.final_lr_fraction, (step - warmup) / max(last - warmup, 1))
    if isinstance(config, OneCycleConfig):
        peak = max(config.warmup_fraction * total_steps - 1, 1e-9)
        if step <= peak:
            return _half_cosine(config.initial_lr_fraction, 1.0, step / peak)
        return _half_cosine(1.0, config.final_lr_fraction, (step - peak) / max(last - peak, 1e-9))
    return 1.0


def _half_cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(part, 1.0)))
