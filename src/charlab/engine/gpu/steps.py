"""A sequence as one pass or product after another, started by the host.

What that costs in launches is saved by graphs (`charlab.engine.gpu.capture`) where there are any.
Arrays go by the names of `charlab.engine.gpu.plan` and `pass_codegen`: `fixed` ones are shared by
all steps, those in `steps` are [T, B, ...]. What the passes of a step read as state p is first p at
the first step and new p of the step before at the others.
"""

from collections.abc import Mapping, Sequence
from typing import final

from torch import Tensor

from charlab.engine.gpu import capture
from charlab.engine.gpu.build import build
from charlab.engine.gpu.capture import Graph, Graphs
from charlab.engine.gpu.expressions import PRELUDE
from charlab.engine.gpu.pass_codegen import Kernel, backward_kernel, forward_kernel
from charlab.engine.gpu.plan import Plan
from charlab.engine.gpu.products import product

Arrays = Mapping[str, Tensor]

BLOCK = 256  # hidden units of one program


@final
class Steps:
    """Runs a plan step by step, on arrays of one device."""

    def __init__(self, plan: Plan, interpret: bool) -> None:
        self.plan = plan
        passes = range(plan.last_pass + 1)
        self._forward = {
            save: [forward_kernel(plan, number, save) for number in passes]
            for save in (False, True)
        }
        self._backward = {
            one.stage: backward_kernel(plan, number) for number, one in enumerate(plan.back)
        }
        kernels = [*self._forward[False], *self._forward[True], *self._backward.values()]
        source = "".join(kernel.source for kernel in kernels if kernel is not None)
        self._built = build(PRELUDE + source, interpret)
        self._graphs = Graphs()

    def forward(
        self, shared: Arrays, steps: Arrays, state: Sequence[Tensor], save: bool
    ) -> list[Tensor]:
        """Fills `steps` from gates; gives the state after them. shared: what `packed` gives."""
        fixed = dict(shared)
        for number, group in enumerate(self.plan.groups):
            part = self.plan.source_part(number)
            source = state[0] if part is None else state[part]
            fixed[f"product{number}"] = source.repeat(1, group.blocks)
            fixed[f"operand{number}"] = source.to(shared[f"weight{number}"].dtype, copy=True)
        for part, tensor in enumerate(state):
            if f"new{part}" in steps:
                fixed[f"first{part}"] = tensor
            else:  # in place
                fixed[f"state{part}"] = fixed[f"new{part}"] = tensor.clone()

        def run(fixed: Arrays, steps: Arrays) -> None:
            self._go(fixed, steps, save)

        num_steps, done = len(steps["gates"]), 0
        key = "forward", save, *_kind(fixed, state[0])
        graph = self._graphs.get(key, steps["new0"], lambda: Graph(fixed, steps, run))
        if graph is not None:
            graph.take(fixed)
            fixed = graph.fixed
            while done + capture.STEPS <= num_steps:
                graph.replay(steps, done, ["gates"])
                done += capture.STEPS
                for part in range(len(state)):
                    if f"new{part}" in steps:
                        fixed[f"first{part}"].copy_(steps[f"new{part}"][done - 1])
        if done < num_steps:
            run(fixed, {name: array[done:] for name, array in steps.items()})
        return [
            (steps[name][-1] if (name := f"new{part}") in steps else fixed[name]).clone()
            for part in range(len(state))
        ]

    def backward(
        self, shared: Arrays, steps: Arrays, state: Sequence[Tensor], carry: Sequence[Tensor]
    ) -> None:
        """Fills d, e and sources of `steps`, turns gradients `carry` into those of `state`."""
        plan = self.plan
        fixed = {**shared, **{f"carry{part}": tensor for part, tensor in enumerate(carry)}}
        fixed |= {f"grad_input{number}": carry[0].clone() for number in range(len(plan.groups))}
        fixed["partial"] = carry[0].repeat(1, len(plan.partial))
        names = {name for kernel in self._backward.values() for name in kernel.arguments}
        parts = [part for part in range(len(state)) if f"state{part}" in names]
        fixed |= {f"first{part}": state[part] for part in parts}
        written = {"d", "e", *(f"source{number}" for number in plan.recomputed)}
        read = (names | {f"new{part}" for part in parts}) - written
        steps = {name: array for name, array in steps.items() if name in read | written}

        key = "backward", *_kind(fixed, carry[0])
        graph = self._graphs.get(key, steps["grad_y"], lambda: Graph(fixed, steps, self._back))
        if graph is None:
            self._back(fixed, steps)
            return
        graph.take(fixed)
        num_steps = len(steps["d"])
        size = capture.STEPS
        rest = num_steps - num_steps % size
        for start in (*((rest,) if rest < num_steps else ()), *range(rest - size, -1, -size)):
            for part in parts:
                before = steps[f"new{part}"][start - 1] if start > 0 else state[part]
                graph.fixed[f"first{part}"].copy_(before)
            if start == rest:
                self._back(graph.fixed, {name: array[rest:] for name, array in steps.items()})
            else:
                graph.replay(steps, start, steps.keys() & read)
        for part, tensor in enumerate(carry):
            tensor.copy_(graph.fixed[f"carry{part}"])

    # -------------------------------------------------------------------------------- one by one
    def _go(self, fixed: Arrays, steps: Arrays, save: bool) -> None:
        rows = self._rows(fixed, steps)
        for t in range(len(steps["gates"])):
            arrays = {**fixed, **{name: row[t] for name, row in rows.items()}}
            for number, kernel in enumerate(self._forward[save]):
                if kernel is not None:
                    self._launch(kernel, arrays, arrays["new0"])
                for index, group in enumerate(self.plan.groups):
                    if group.stage == number:
                        weight_HN = arrays[f"weight{index}"].t()
                        product(arrays[f"operand{index}"], weight_HN, arrays[f"product{index}"])

    def _back(self, fixed: Arrays, steps: Arrays) -> None:
        plan = self.plan
        rows = self._rows(fixed, steps)
        entering = {*plan.direct, *(number for one in plan.back for number in one.groups)}
        size = fixed["carry0"].shape[1]
        for index, group in enumerate(plan.groups):
            columns = steps["d"].narrow(2, plan.first_column[index] * size, group.blocks * size)
            rows[f"d{index}"] = columns.unbind(0)
        for t in reversed(range(len(steps["d"]))):
            arrays = {**fixed, **{name: row[t] for name, row in rows.items()}}
            for stage in reversed(range(plan.last_pass + 1)):
                for index, group in enumerate(plan.groups):
                    if group.stage != stage or index not in entering:
                        continue
                    d_BN, weight_NH = arrays[f"d{index}"], arrays[f"weight{index}"]
                    if index in plan.direct:
                        carry_BH = arrays[f"carry{plan.direct[index]}"]
                        product(d_BN, weight_NH, carry_BH, add=True)
                    else:
                        product(d_BN, weight_NH, arrays[f"grad_input{index}"])
                if stage in self._backward:
                    self._launch(self._backward[stage], arrays, arrays["carry0"])

    def _rows(self, fixed: Arrays, steps: Arrays) -> dict[str, Sequence[Tensor]]:
        rows: dict[str, Sequence[Tensor]] = {name: a.unbind(0) for name, a in steps.items()}
        for part in range(self.plan.program.num_states):
            if f"new{part}" in rows and f"first{part}" in fixed:
                rows[f"state{part}"] = (fixed[f"first{part}"], *rows[f"new{part}"][:-1])
        return rows

    def _launch(self, kernel: Kernel, arrays: Arrays, like_BH: Tensor) -> None:
        count, size = like_BH.numel(), like_BH.shape[1]
        given = [arrays[name] for name in kernel.arguments]
        grid = (-(-count // BLOCK),)
        self._built[kernel.name][grid](*given, count, H=size, BLOCK=BLOCK)


def _kind(fixed: Arrays, like_BH: Tensor) -> tuple[object, ...]:
    """What a graph is recorded for."""
    return like_BH.device, len(like_BH), frozenset(array.dtype for array in fixed.values())
