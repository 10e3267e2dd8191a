"""Which devices the engine's kernels run on, and where a whole sequence can be one launch."""

from importlib.util import find_spec
from typing import NamedTuple, final

import torch

from charlab.engine.gpu.loop_text import tile_widths
from charlab.engine.gpu.plan import Plan

ROWS = 16  # of the batch that one program owns: the least that tl.dot takes


@final
class Chip(NamedTuple):
    """What a device has. shared_bytes: shared memory that one program can get."""

    shared_bytes: int
    has_tensor_cores: bool


def why_not(dtype: torch.dtype) -> str | None:
    """What stands against `TritonRunner` for a state of this type; None: nothing."""
    if dtype != torch.float32:
        return f"generated code for a GPU computes in float32, not in {dtype}"
    if torch.torch_version.__version__ < "2.10":  # whose addmm has no out_dtype, or half of one
        return f"it needs torch 2.10 or later, not {torch.__version__}"
    if find_spec("triton") is None or find_spec("triton.knobs") is None:
        return "triton 3.4 or later is not installed"
    return None


def chip_of(device: torch.device) -> Chip:
    """Tensor cores for bfloat16 and TF32 came with compute capability 8.0."""
    if device.type != "cuda" or torch.version.cuda is None:
        return Chip(0, False)
    from triton.runtime import driver

    number = torch.cuda.current_device() if device.index is None else device.index
    shared_bytes = driver.active.utils.get_device_properties(number)["max_shared_mem"]
    return Chip(shared_bytes, torch.cuda.get_device_capability(number) >= (8, 0))


def loop_stages(plan: Plan, hidden_size: int, narrow: bool, chip: Chip) -> int | None:
    """Stages of Triton's pipeline for the backward in one launch; None: a launch is too little.

    The recurrent weights have to stay on chip. Else every program reads them again at each step
    from the L2 cache: for an LSTM of 256 units in bfloat16 that is 512 KB a step, some 5 us at 64
    bytes a clock, no less than the few launches of a step in a graph. Triton puts an operand of
    tl.dot that no step changes into shared memory, once, before the loop. With H padded to the sum
    of its tiles and P recurrent blocks, the kernels need

        P H^2 * 2 bytes for weights in bfloat16; * 8 in float32, as products of three of TF32 need
            two halves of every weight
        ROWS H * 4 (8) bytes, several times, for operands and to change layouts
        ROWS H * 4 bytes for each array that the backward reads, once a further stage: with 3 and
            with 2 stages, Triton reads it ahead of its step

    On an H100 (227 KB a program) a GRU and an LSTM fit to H = 160 in bfloat16, in float32 to 64;
    on an A100 (163 KB) to 128 and 64; with 99 KB to 96 and 32. A plain RNN fits to 288 and 128 on
    an H100. The formula was compared with what the compiler asked for; nothing of it was measured.
    """
    if not chip.has_tensor_cores:
        return None
    size = sum(tile_widths(hidden_size))
    blocks = sum(group.blocks for group in plan.groups)
    weights = blocks * size * size * (2 if narrow else 8)
    tile = ROWS * size * (4 if narrow else 8)
    ahead = (len(plan.stored) + 1) * ROWS * size * 4
    for stages in (3, 2, 1):
        tiles = 2 if stages == 1 else blocks + 1
        if weights + tiles * tile + (stages - 1) * ahead <= chip.shared_bytes:
            return stages
    return None
