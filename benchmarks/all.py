"""All benchmarks one after the other, in half an hour on two quiet cores.

    python benchmarks/all.py [--folder docs/results/speed] [--only NAME ...]

Each writes its figures to FOLDER/NAME.json; machine.json says where they were measured. One that
fails leaves the file as it was, the others go on, and the exit code is 1.
"""

import argparse
import importlib.metadata
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import figures

from charlab.cores import num_cores
from charlab.memory import GIB, memory_bytes

HERE = Path(__file__).parent
FOLDER = HERE.parent / "docs" / "results" / "speed"
NOTEBOOK_SHAPE = "100,512,300,300x2"
# floors and validation of a small part: they are in none of the figures
SMALL_SPLITS = ("data.val_bytes=200000", "data.test_bytes=200000")
NOTEBOOK = (
    *("experiment=notebook_enwik8_gru", "data=python_stdlib", "data.symbols=chars"),
    *SMALL_SPLITS,
)
# by name: the script, and its words
BENCHMARKS: Mapping[str, tuple[str, ...]] = {
    "overhead_names": ("overhead.py",),
    "overhead_notebook": ("overhead.py", "--blocks", "7", "--block-steps", "2", *NOTEBOOK),
    "whole_step": ("whole_step.py", "--repeats", "14", *SMALL_SPLITS),
    "data_path": ("data_path.py", "--steps", "8", *SMALL_SPLITS),
    "memory": ("memory.py",),
    "compare_many": ("compare_many.py", "--runs", "200"),
    "bootstrap_coverage": ("bootstrap_coverage.py", "--rows", "1000"),
    "sweep_scaling": ("sweep_scaling.py",),
    "soak": ("soak.py",),
    # plain torch and the loop take minutes at the largest shape; bf16 is left out, in which a
    # processor that does not have it takes a quarter of an hour for torch's layers
    "engine": (
        *("engine.py", "--repeats", "9", "--budget-s", "12", "--no-sides", NOTEBOOK_SHAPE),
        "--bf16-cells",  # none
    ),
}
PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "numpy")


def machine() -> dict[str, object]:
    """What the figures depend on beside the code."""
    return {
        "processor": figures.processor_name(),
        "cores": num_cores(),
        "memory_gib": round(memory_bytes() / GIB, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "date": datetime.now(UTC).date().isoformat(),
    }


def run(name: str, folder: Path) -> bool:
    """Whether it succeeded."""
    script, *words = BENCHMARKS[name]
    part = folder / f"{name}.json.part"
    part.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / script), "--json", str(part), *words]
    code = subprocess.run(command).returncode
    if code != 0 or not part.exists():
        part.unlink(missing_ok=True)
        return False
    part.replace(folder / f"{name}.json")
    return True


def run_all(names: Iterable[str], folder: Path) -> list[str]:
    """Those that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    figures.write(machine(), folder / "machine.json")
    failed = []
    for name in names:
        print(f"== {name}: {' '.join(BENCHMARKS[name])}", flush=True)
        began_s = time.monotonic()
        if not run(name, folder):
            failed.append(name)
        how = "FAILED" if name in failed else "done"
        print(f"== {name}: {how} after {time.monotonic() - began_s:.0f} s\n", flush=True)
    return failed


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--only", nargs="+", default=list(BENCHMARKS), choices=list(BENCHMARKS))
    asked = parser.parse_args()
    began_s = time.monotonic()
    failed = run_all(asked.only, asked.folder)
    print(f"{len(asked.only)} benchmarks, {(time.monotonic() - began_s) / 60:.0f} min", end="")
    print(f"; failed: {', '.join(failed)}" if failed else "")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
