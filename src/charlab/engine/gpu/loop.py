"""A whole sequence in one launch."""

from collections.abc import Mapping, Sequence
from typing import final

import torch
import triton.language as tl
from torch import Tensor

from charlab.engine.gpu.build import build
from charlab.engine.gpu.expressions import PRELUDE
from charlab.engine.gpu.fit import ROWS
from charlab.engine.gpu.loop_codegen import backward_loop, forward_loop
from charlab.engine.gpu.pass_codegen import Kernel
from charlab.engine.gpu.plan import Plan

Arrays = Mapping[str, Tensor]


@final
class Loop:
    """Runs a plan for one hidden size. Takes and gives what `charlab.engine.gpu.steps.Steps` does.

    stages: as of `loop_stages`. Products of float32 are made of three of TF32, which leaves the
    error of float32, as tensor cores have nothing wider.
    """

    def __init__(self, plan: Plan, hidden_size: int, stages: int, interpret: bool) -> None:
        self._size = hidden_size
        self._stages = stages
        self._interpret = interpret
        self._forward = {save: forward_loop(plan, hidden_size, save) for save in (False, True)}
        self._backward = backward_loop(plan, hidden_size)
        kernels = (*self._forward.values(), self._backward)
        self._built = build(PRELUDE + "".join(kernel.source for kernel in kernels), interpret)

    def forward(
        self, shared: Arrays, steps: Arrays, state: Sequence[Tensor], save: bool
    ) -> list[Tensor]:
        """Fills `steps` from gates; gives the state after them."""
        final = [torch.empty_like(part) for part in state]
        arrays = {name: array[0] for name, array in steps.items()}
        arrays |= {f"first{part}": tensor for part, tensor in enumerate(state)}
        arrays |= {f"final{part}": tensor for part, tensor in enumerate(final)}
        sizes = len(steps["gates"]), len(state[0])
        self._launch(self._forward[save], {**shared, **arrays}, *sizes, stages=1)
        return final

    def backward(
        self, shared: Arrays, steps: Arrays, state: Sequence[Tensor], carry: Sequence[Tensor]
    ) -> None:
        """Fills d, e and sources of `steps`, turns gradients `carry` into those of `state`."""
        num_steps = len(steps["d"])
        arrays = {name: array[-1] for name, array in steps.items()}
        arrays |= {f"carry{part}": tensor for part, tensor in enumerate(carry)}
        for part, tensor in enumerate(state):
            arrays[f"first{part}"] = tensor
            if f"new{part}" in steps:
                arrays[f"state{part}"] = steps[f"new{part}"][max(num_steps - 2, 0)]
        sizes = num_steps, len(state[0])
        self._launch(self._backward, {**shared, **arrays}, *sizes, stages=self._stages)

    def _launch(
        self, kernel: Kernel, arrays: Arrays, num_steps: int, batch_size: int, stages: int
    ) -> None:
        weights = [array for name, array in arrays.items() if name.startswith("weight")]
        narrow = any(weight.dtype == torch.bfloat16 for weight in weights)
        given = [arrays[name] for name in kernel.arguments]
        self._built[kernel.name][(-(-batch_size // ROWS),)](
            *given,
            num_steps,
            batch_size,
            H=self._size,
            BM=ROWS,
            NARROW=narrow,
            TYPE=tl.bfloat16 if narrow and not self._interpret else tl.float32,
            PRECISION="tf32x3",
            num_warps=8 if self._size > 32 else 4,
            num_stages=stages,
        )
