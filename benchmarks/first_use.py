"""What the first use of a cell costs, in a process of its own.

    python benchmarks/first_use.py ENTRY ENGINE INPUT_SIZE HIDDEN_SIZE CACHE

Seconds from asking for the layer until its first gradients are there, on two steps of two rows, so
that next to nothing is spent on arithmetic. Importing torch is not counted.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stacks import ENTRIES, Problem, Shape, build, labels

from charlab.errors import UsageError


def measure(ways: Sequence[tuple[str, str]], shape: Shape) -> list[dict[str, Any]]:
    """A row for each (entry, engine) that can be run, at the sizes of the shape.

    again_s  in another process, with what the first one left in the cache
    """
    rows = []
    for entry, engine in ways:
        cell, peer = labels(entry, engine)
        with tempfile.TemporaryDirectory() as cache:
            words = [entry, engine, str(shape.input_size), str(shape.hidden_size), cache]
            first_s = _seconds(words)
            again_s = _seconds(words) if engine == "compiled" else None
        if first_s is not None:
            times = {"first_s": first_s, "again_s": again_s}
            names = {"entry": entry, "engine": engine, "cell": cell, "peer": peer}
            rows.append({"kind": "first use", **names, **times})
    return rows


def _seconds(words: Sequence[str]) -> float | None:
    """In a fresh process; None where the cell cannot be run so."""
    command = [sys.executable, __file__, *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout) if done.stdout else None


def main() -> None:
    entry, engine, input_size, hidden_size, cache = sys.argv[1:]
    shape = Shape(2, 2, int(input_size), int(hidden_size), 1, "fp32")
    problem = Problem(shape)
    began_s = time.perf_counter()
    try:
        problem.both(build(ENTRIES[entry], shape, engine, Path(cache)))
    except UsageError as error:
        print(error, file=sys.stderr)
        return
    print(time.perf_counter() - began_s)


if __name__ == "__main__":
    main()
