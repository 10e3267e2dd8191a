"""How far back a model remembers: by the gradient of a loss, and by what it predicts with."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from charlab.diagnostics.unroll import Unrolled

# Means over fewer of the rows than this part of them are left out: of names, few are long.
MIN_PART = 0.05
# What is left of the gradient at the lag that counts as the end of the memory.
REMAINDER = 0.1


def grad_norm_by_lag(unrolled: Unrolled) -> list[float]:
    """Mean over rows of |d loss(T) / d s(T-k)|, for k = 0, 1, ...

    loss(T) is that of the last target of a row, in nats, and s(t) the state after step t: all parts
    of all layers as one vector. Its gradient is that of loss(T) by s(T), times the Jacobians of k
    steps, whose product vanishes or explodes (Pascanu et al. 2013, eq. 4 and 5). Frees the graph.
    """
    num_steps, num_rows = unrolled.nats_TB.shape
    last_B = _last_real(unrolled.is_real_TB)
    rows_B = torch.arange(num_rows, device=last_B.device)
    states = unrolled.states[1:]
    parts = [part for state in states for layer in state for part in layer]
    last = unrolled.nats_TB[last_B, rows_B].sum()
    grads = torch.autograd.grad(last, parts, allow_unused=True, materialize_grads=True)
    squares_PB = torch.stack([grad.flatten(1).double().square().sum(1) for grad in grads])
    norm_TB = squares_PB.view(num_steps, -1, num_rows).sum(1).sqrt()
    lag_T1 = torch.arange(num_steps, device=last_B.device)[:, None]
    has_TB = (lag_T1 <= last_B) & unrolled.is_real_TB.any(0)
    return _means(norm_TB.gather(0, (last_B - lag_T1).clamp(min=0)), has_TB)


def bits_by_position(unrolled: Unrolled) -> list[float]:
    """Mean over rows of -log2 p of the target at position 1, 2, ... after a reset."""
    bits_TB = unrolled.nats_TB.detach().double() / math.log(2)
    return _means(bits_TB, unrolled.is_real_TB)


def memory_steps(grad_norm: Sequence[float]) -> float:
    """The smallest lag from 1 on whose gradient norm is at most a tenth of that at lag 1.

    Where there is none: the number of lags, which it exceeds. NaN where a norm is not finite.
    """
    if not all(map(math.isfinite, grad_norm)):
        return math.nan
    for lag in range(1, len(grad_norm)):
        if grad_norm[lag] <= REMAINDER * grad_norm[1]:
            return float(lag)
    return float(len(grad_norm))


def _last_real(is_real_TB: Tensor) -> Tensor:
    """The last step of each row that has a target; 0 where none has."""
    steps_T1 = torch.arange(len(is_real_TB), device=is_real_TB.device)[:, None]
    return torch.where(is_real_TB, steps_T1, 0).amax(0)


def _means(values_TB: Tensor, counted_TB: Tensor) -> list[float]:
    """The mean of each step over the rows that count there, up to where too few do."""
    num_T = counted_TB.sum(1)
    means_T = torch.where(counted_TB, values_TB, 0).sum(1) / num_T
    enough = (num_T >= max(1, MIN_PART * values_TB.shape[1])).tolist()
    length = enough.index(False) if False in enough else len(enough)
    means: list[float] = means_T[:length].tolist()
    return means
