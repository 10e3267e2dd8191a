"""Memory: what a process has had, and what a model needs."""

import os
import resource
import sys
from pathlib import Path

import torch

from charlab.config.schema import Config
from charlab.errors import UsageError

GIB = 2**30
SIZES = ("hidden_size", "embedding_size", "num_layers")
TENSORS_PER_PARAM = 4  # the weight, its gradient, and two means of Adam's


def peak_memory(device: torch.device) -> dict[str, int | None]:
    """Entries of run.json.

    peak_memory_bytes         resident in main memory, code and libraries too
    peak_device_memory_bytes  of tensors on a GPU, None elsewhere
    """
    on_device = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return {"peak_memory_bytes": _peak_resident_bytes(), "peak_device_memory_bytes": on_device}


def _peak_resident_bytes() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    # not ru_maxrss, which on Linux is at least what the parent had when it started this process
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def memory_bytes() -> int:
    """Main memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_fits(
    num_params: int | None, config: Config, device_type: str, dtype: torch.dtype
) -> None:
    """Raises UsageError where training takes more memory than there is, for the parameters alone.

    num_params: None where it is not known; device_type, dtype: as `trainer.where_it_runs` has them
    """
    if num_params is None:
        return
    needed = num_params * TENSORS_PER_PARAM * dtype.itemsize
    num_processes = config.trainer.devices
    if device_type == "cuda":
        there, where = torch.cuda.get_device_properties(0).total_memory, " on a GPU"
    else:  # each process has a model of its own
        there = memory_bytes() // num_processes
        where = f" for each of {num_processes} processes" if num_processes > 1 else ""
    if needed <= there:
        return
    sizes = ("match_params",) if config.model.match_params is not None else SIZES
    given = [f"model.{name}={getattr(config.model, name):.12g}" for name in sizes]
    raise UsageError(
        f"a model of {num_params:,} parameters does not fit into memory",
        expected=f"at most {there // (TENSORS_PER_PARAM * dtype.itemsize):,} parameters: training "
        f"keeps {TENSORS_PER_PARAM} numbers for each, and there are {there / GIB:.1f} GiB{where}",
        got=f"{' '.join(given)}: {needed / GIB:,.1f} GiB",
        hint="a smaller one",
        option=f"model.{sizes[0]}",
    )
