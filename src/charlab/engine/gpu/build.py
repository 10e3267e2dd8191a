"""From the source of kernels to kernels."""

import hashlib
import linecache
from typing import Any

import triton


def build(source: str, interpret: bool) -> dict[str, Any]:
    """The kernels of the source by name.

    Triton compiles each one when it is first launched and keeps it on disk, by its text and the
    values of its constants. interpret: they run on tensors of the CPU, each operation in numpy.
    """
    name = f"<charlab kernels {hashlib.sha256(source.encode()).hexdigest()[:16]}>"
    # Triton reads the text of a function as inspect finds it
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    space: dict[str, Any] = {"__name__": "charlab_kernels"}
    with triton.knobs.runtime.scope():
        triton.knobs.runtime.interpret = interpret
        exec(compile(source, name, "exec"), space)
    return {key: value for key, value in space.items() if not key.startswith("_")}
