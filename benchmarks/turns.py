"""Measuring calls against each other: in turns, by ratios of turns; and one call's peak memory."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar, final

from charlab.data.memory import give_back

Call = Callable[[], object]
Key = TypeVar("Key")
Result = TypeVar("Result")

# A number is the mean over as many calls as take this long.
BLOCK_S = 0.1
# A call that is slower than this has one round at least, others have three.
SLOW_S = 5.0
# The first call of one that is slower than this is its only round: it is warm for most of it.
ONCE_S = 20.0


@final
class Ratio(NamedTuple):
    """The median over rounds, and an interval of 95 % for it; lowest to highest below 6 rounds."""

    median: float
    low: float
    high: float


def take_turns(
    calls: Mapping[Key, Call],
    repeats: int,
    budget_s: Mapping[Key, float],
    called_s: Mapping[Key, float] | None = None,
) -> dict[Key, list[float]]:
    """Milliseconds of each call, one number a round.

    Every round has each call once, every other round in the opposite order, so whatever else the
    machine does hits all of them. A call whose rounds would take longer than its budget has fewer
    rounds: the first ones.

    called_s  seconds of first calls that were made before
    """
    gc.collect()
    gc.freeze()  # what is there now need not be looked through again, least of all in a call
    blocks: dict[Key, int] = {}
    rounds: dict[Key, int] = {}
    took: dict[Key, list[float]] = {name: [] for name in calls}
    for name, call in calls.items():
        once_s = called_s[name] if called_s is not None else seconds(call)
        if once_s >= ONCE_S:
            took[name].append(1000 * once_s)
            blocks[name] = rounds[name] = 1
            continue
        if once_s < SLOW_S:  # the first call was a warm-up
            once_s = seconds(call)
        blocks[name] = max(1, round(BLOCK_S / once_s))
        fitting = budget_s[name] / (once_s * blocks[name])
        rounds[name] = int(min(repeats, max(1 if once_s >= SLOW_S else 3, fitting)))
    for turn in range(max(rounds.values())):
        for name in list(calls)[:: 1 if turn % 2 == 0 else -1]:
            if len(took[name]) < rounds[name]:
                gc.collect()  # what one call left is not in the time of the next
                took[name].append(1000 * seconds(calls[name], blocks[name]) / blocks[name])
    gc.unfreeze()
    return took


def seconds(call: Call, times: int = 1) -> float:
    """How long so many calls take, one after the other."""
    began_s = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - began_s


def ratio(base_ms: Sequence[float], ours_ms: Sequence[float]) -> Ratio:
    """How many times faster ours is than the base, from the rounds that both had."""
    found = sorted(base / ours for base, ours in zip(base_ms, ours_ms))
    # P(fewer than k of n coins fall on heads) <= 2.5 %: the k-th from either end bounds the median
    tails = [sum(math.comb(len(found), j) for j in range(k)) for k in range(1, len(found) // 2 + 1)]
    skip = sum(tail <= 0.025 * 2 ** len(found) for tail in tails)
    at = max(skip - 1, 0)
    return Ratio(statistics.median(found), found[at], found[-1 - at])


def with_peak(call: Callable[[], Result]) -> tuple[Result, float | None]:
    """What a call returns, and the MiB it has at its peak beyond what was there before.

    None for the memory where the system does not tell: only Linux does.
    """
    gc.collect()
    give_back()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before = _status_mib("VmRSS")
    except OSError:
        return call(), None
    return call(), _status_mib("VmHWM") - before


def _status_mib(name: str) -> float:
    lines: Iterable[str] = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))
