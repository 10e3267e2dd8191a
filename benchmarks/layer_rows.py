"""A contest: engines of some cells, and the layer of torch beside them, at one shape."""

import copy
import functools
import statistics
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, final

import torch
from stacks import ENGINES, ENTRIES, Problem, Shape, Stack, build, labels
from torch import Tensor
from turns import Call, ratio, seconds, take_turns, with_peak

from charlab.cells.base import GateLinear
from charlab.errors import UsageError

# The two that say how good the engine is have the whole budget, others a part of it.
SIDE_SHARE = 0.2

# (entry, engine)
Key = tuple[str, str]


@final
class Limits(NamedTuple):
    """Rounds at most, and seconds for the rounds of one contestant."""

    repeats: int
    budget_s: float


@final
class Look(NamedTuple):
    """Errors against the loop in float64, None for what computes something else; peak memory."""

    output_error: float | None
    gradient_error: float | None
    peak_mib: float | None


@final
class Contest:
    """Contestants by (entry, engine), with "torch" as the engine of torch's own layer.

    refused  why contestants are missing
    """

    def __init__(
        self,
        shape: Shape,
        names: Sequence[str],
        cache: Path,
        *,
        with_sides: bool = True,
        with_compile: bool = False,
    ) -> None:
        self.shape = shape
        self.cache = cache
        self.problem = Problem(shape)
        self.stacks: dict[Key, Stack] = {}
        self.refused: list[str] = []
        self.first_s: dict[Key, float] = {}
        has_builtin = ENTRIES[names[0]].builtin is not None
        self.base: Key = (names[0], "torch" if has_builtin else "reference")
        if has_builtin:
            self.stacks[self.base] = build(ENTRIES[names[0]], shape, "torch", cache)
        for name in names:
            for engine in engines_at(shape, has_builtin, with_sides):
                self._add(name, engine)
            if with_compile:
                stack = self.stacks[name, "torch.compile"] = self._reference(name)
                stack.compile()
                first_s = seconds(partial(self.problem.both, stack))
                self.first_s[name, "torch.compile"] = first_s

    def _add(self, name: str, engine: str) -> None:
        try:
            stack = build(ENTRIES[name], self.shape, engine, self.cache)
            self.problem.both(stack)  # engines are chosen at the first call
        except UsageError as error:
            self.refused.append(f"{name}: {error}")
        else:
            self.stacks[name, engine] = stack

    def _reference(self, name: str) -> Stack:
        return build(ENTRIES[name], self.shape, "reference", self.cache)

    def rows(self, limits: Limits, first_s: Mapping[Key, float]) -> list[dict[str, Any]]:
        """A row for each contestant; first_s is put into it."""
        keys = list(self.stacks)
        budget_s = {
            key: limits.budget_s * (1 if key == self.base or key[1] == "compiled" else SIDE_SHARE)
            for key in keys
        }
        problem, stacks = self.problem, self.stacks
        forward: dict[Key, Call] = {key: partial(problem.forward, stacks[key]) for key in keys}
        both: dict[Key, Call] = {key: partial(problem.both, stacks[key]) for key in keys}
        forward_ms = take_turns(forward, limits.repeats, budget_s)
        looks, called_s = self._looks()
        both_ms = take_turns(both, limits.repeats, budget_s, called_s)
        rows = []
        for key in keys:
            entry, engine = key
            faster = ratio(both_ms[self.base], both_ms[key])
            took_ms = statistics.median(both_ms[key])
            cell, peer = labels(entry, engine)
            rows.append(
                {
                    "kind": "layer",
                    "shape": str(self.shape),
                    **self.shape._asdict(),
                    "cell": cell,
                    "peer": peer,
                    "forward_ms": statistics.median(forward_ms[key]),
                    "forward_backward_ms": took_ms,
                    "rounds": len(both_ms[key]),
                    "ratio": faster.median,
                    "ratio_low": faster.low,
                    "ratio_high": faster.high,
                    "us_per_step": 1000 * took_ms / (self.shape.steps * self.shape.num_layers),
                    "first_call_s": {**first_s, **self.first_s}.get(key),
                    "gemm_floor_fraction": self._floor_ms(entry) / took_ms,
                    **looks[key]._asdict(),
                }
            )
        return rows

    def _looks(self) -> tuple[dict[Key, Look], dict[Key, float]]:
        """One call of each, and its seconds: some take a minute, so no call is made in vain."""
        found: dict[Key, Look] = {}
        called_s: dict[Key, float] = {}
        for name in {entry for entry, _ in self.stacks}:
            reference = self._reference(name)
            exact_y, exact_gradients = self.problem.exact(reference)
            exact = by_gate(reference.double(), exact_gradients)
            for key, stack in self.stacks.items():
                if key[0] != name:
                    continue
                began_s = time.perf_counter()
                (y, gradients), peak = with_peak(partial(self.problem.both, stack))
                called_s[key] = time.perf_counter() - began_s
                if key[1] == "torch" and not ENTRIES[name].equal:
                    found[key] = Look(None, None, peak)
                    continue
                blocks = by_gate(stack, gradients)
                assert blocks.keys() == exact.keys()
                worst = max(relative_error(blocks[block], exact[block]) for block in exact)
                found[key] = Look(relative_error(y, exact_y), worst, peak)
        return found, called_s

    def _floor_ms(self, name: str) -> float:
        """What the products of forward and backward take, each as one torch.mm over all steps.

        A product is three: with the input, with the gradient, and that of the weights.
        """
        linears = [m for m in self._reference(name).modules() if isinstance(m, GateLinear)]
        dtype = torch.bfloat16 if self.shape.precision == "bf16" else torch.float32
        num_rows = self.shape.steps * self.shape.rows
        return sum(
            mm_ms(num_rows, linear.in_features, linear.out_features, dtype)
            + mm_ms(num_rows, linear.out_features, linear.in_features, dtype)
            + mm_ms(linear.out_features, num_rows, linear.in_features, dtype)
            for linear in linears
        )


def engines_at(shape: Shape, has_builtin: bool, with_sides: bool) -> Sequence[str]:
    """What takes part beside torch's layer; without one the loop is what others stand beside."""
    if not has_builtin:
        return ENGINES if with_sides else ("compiled", "reference")
    # in bf16 the loop and plain torch only show that this processor has no instructions for it
    return ENGINES if with_sides and shape.precision == "fp32" else ("compiled",)


def by_gate(stack: Stack, gradients: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Gradients of `Problem.both` by layer and gate: torch's layers order parameters otherwise."""
    holder = copy.deepcopy(stack)
    grad_x, *rest = gradients
    with torch.no_grad():
        for parameter, gradient in zip(holder.parameters(), rest, strict=True):
            parameter.copy_(gradient)
    found = {"x": grad_x}
    for number, layer in enumerate(holder.layers):
        for block in layer.gate_blocks():
            found[f"{number} {block.role} {block.gate}"] = block.tensor
    return found


def relative_error(found: Tensor, exact: Tensor) -> float:
    """Largest difference over the largest number."""
    difference = found.detach().double() - exact
    return float(difference.abs().max() / exact.abs().max())


@functools.cache
def mm_ms(num_rows: int, inner: int, columns: int, dtype: torch.dtype) -> float:
    """Milliseconds of one torch.mm."""
    a, b = torch.randn(num_rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
    out = torch.empty(num_rows, columns, dtype=dtype)
    took_s = [seconds(partial(torch.mm, a, b, out=out)) for _ in range(7)]
    return 1000 * statistics.median(took_s[2:])
