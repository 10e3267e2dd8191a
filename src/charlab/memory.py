"""The most memory that this process has had so far."""

import resource
import sys
from pathlib import Path

import torch


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
