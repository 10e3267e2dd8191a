"""The curves of the seeds of one variant as one: their mean, the lowest and the highest."""

from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np

from charlab.reading.curves import Curve, Numbers


@final
class Band(NamedTuple):
    """[P] each, over the seeds at a step: where they are on average, and their values."""

    step: Numbers
    chars_seen: Numbers
    seconds: Numbers
    mean: Numbers
    low: Numbers
    high: Numbers


def band(curves: Sequence[Curve]) -> Band:
    """Of one or more curves, over the steps that all of them reach.

    The steps are those of the curve with the most; the others are interpolated where they lack one.
    """
    whole = [_once_a_step(curve) for curve in curves]
    first = max(curve.step[0] for curve in whole)
    last = min(curve.step[-1] for curve in whole)
    step = max((curve.step for curve in whole), key=len)
    step = step[(first <= step) & (step <= last)]
    if not len(step):
        step = np.unique([first, last]) if first <= last else np.array([last])
    values_SP = np.array([np.interp(step, curve.step, curve.value) for curve in whole])
    return Band(
        step,
        np.mean([np.interp(step, curve.step, curve.chars_seen) for curve in whole], axis=0),
        np.mean([np.interp(step, curve.step, curve.seconds) for curve in whole], axis=0),
        values_SP.mean(axis=0),
        values_SP.min(axis=0),
        values_SP.max(axis=0),
    )


def _once_a_step(curve: Curve) -> Curve:
    """In the order of steps; of two rows of one step, the later."""
    step, place = np.unique(curve.step[::-1], return_index=True)
    last = len(curve.step) - 1 - place
    return Curve(step, curve.chars_seen[last], curve.seconds[last], curve.value[last])
