"""The engine on a GPU: kernels that Triton compiles from a cell's program."""

from collections.abc import Callable, Sequence
from typing import TypeVar, final

import torch
from torch import Tensor
from triton import OutOfResources

from charlab.engine.gpu.fit import Chip, chip_of, loop_stages
from charlab.engine.gpu.loop import Loop
from charlab.engine.gpu.plan import Plan
from charlab.engine.gpu.products import gradients, input_product, packed
from charlab.engine.gpu.steps import Steps
from charlab.engine.keep import kept_nodes
from charlab.engine.program import Program
from charlab.engine.runner import Runner
from charlab.engine.skeleton import Skeleton

Given = TypeVar("Given")


@final
class TritonRunner(Runner):
    """Whole sequences in one launch where the recurrent weights fit on chip, else step by step.

    The input product and all weight-shaped products are made outside of the loop over time, for
    all steps at once. The state is float32.

    chip: what the device has, where it is not to be asked itself

    Tensors of a CPU are for tests: Triton then interprets the kernels. They are tested so, and
    compiled for GPUs; not run on a GPU yet.
    """

    name = "triton"

    def __init__(
        self,
        program: Program,
        skeleton: Skeleton,
        dtype: torch.dtype,
        chip: Chip | None = None,
    ) -> None:
        assert dtype == torch.float32, "see why_not"
        self._places = skeleton.places
        linears = enumerate(skeleton.places.linears)
        biased = [number for number, (_, bias) in linears if bias is not None]
        self._plan = Plan(program, kept_nodes(program), biased)
        self._size = skeleton.cell.hidden_size
        self._chip = chip
        self._ways: dict[tuple[torch.device, bool], Loop | Steps] = {}

    def saved_shapes(self, num_steps: int, batch_size: int) -> list[tuple[int, ...]]:
        """The columns of `kept`, and parts of the state besides y."""
        kept = len(self._plan.kept) * self._size
        widths = [kept] * (kept > 0) + [self._size] * len(self._plan.histories)
        return [(num_steps, batch_size, width) for width in widths]

    def forward(
        self,
        x_TBI: Tensor,
        state: Sequence[Tensor],
        parameters: Sequence[Tensor],
        *,
        narrow: bool,
        save: bool,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        plan, places = self._plan, self._places
        operand = torch.bfloat16 if narrow else x_TBI.dtype
        num_steps, batch_size, _ = x_TBI.shape
        shapes = self.saved_shapes(num_steps, batch_size) if save else []
        saved = [x_TBI.new_empty(shape) for shape in shapes]
        y_TBH = x_TBI.new_empty(num_steps, batch_size, self._size)
        steps = {
            "gates": input_product(places, parameters, x_TBI, operand),
            "new0": y_TBH,
            **self._named(saved),
        }
        shared = packed(plan, places, parameters, operand)
        final_state = self._run(x_TBI, narrow, lambda way: way.forward(shared, steps, state, save))
        return y_TBH, final_state, saved

    def backward(
        self,
        grad_y_TBH: Tensor,
        grad_state: Sequence[Tensor],
        x_TBI: Tensor,
        state: Sequence[Tensor],
        parameters: Sequence[Tensor],
        y_TBH: Tensor,
        saved: Sequence[Tensor],
        *,
        narrow: bool,
        need_x: bool,
    ) -> tuple[Tensor | None, list[Tensor], list[Tensor]]:
        plan, places = self._plan, self._places
        operand = torch.bfloat16 if narrow else x_TBI.dtype
        shape = x_TBI.shape[:2]
        steps = {"grad_y": grad_y_TBH, "new0": y_TBH, **self._named(saved)}
        steps["d"] = x_TBI.new_empty(*shape, len(plan.columns) * self._size, dtype=operand)
        steps["e"] = x_TBI.new_empty(*shape, len(plan.sums) * self._size)
        for number in plan.recomputed:
            steps[f"source{number}"] = torch.empty_like(y_TBH, dtype=operand)
        carry = [grad.clone() for grad in grad_state]
        shared = packed(plan, places, parameters, operand)
        self._run(x_TBI, narrow, lambda way: way.backward(shared, steps, state, carry))
        grad_x, found = gradients(plan, places, parameters, steps, state, x_TBI, need_x)
        return grad_x, carry, found

    def _run(self, like: Tensor, narrow: bool, call: Callable[[Loop | Steps], Given]) -> Given:
        """Calls what runs sequences on the device of the tensor. OutOfResources is no failure."""
        key = like.device, narrow
        interpret = not like.is_cuda
        # Triton launches on the current device
        with torch.cuda.device_of(like):  # type: ignore[no-untyped-call]
            if key not in self._ways:
                chip = chip_of(like.device) if self._chip is None else self._chip
                stages = loop_stages(self._plan, self._size, narrow, chip)
                self._ways[key] = (
                    Steps(self._plan, interpret)
                    if stages is None
                    else Loop(self._plan, self._size, stages, interpret)
                )
            try:
                return call(self._ways[key])
            except OutOfResources:
                # the compiler took more than `loop_stages` reckons; nothing has been started
                if isinstance(self._ways[key], Steps):
                    raise
                self._ways[key] = Steps(self._plan, interpret)
                return call(self._ways[key])

    def _named(self, saved: Sequence[Tensor]) -> dict[str, Tensor]:
        names = ["kept"] * (len(self._plan.kept) > 0)
        return dict(zip([*names, *(f"new{part}" for part in self._plan.histories)], saved))
