"""What the size of a corpus costs in memory: the same run on a text of 5 MB and on one of 2 GB.

    python benchmarks/memory.py [--large-bytes 2000000000] [--lanes 64] [--steps 300] [--json FILE]

Each run is `python train.py data=text` in a process of its own, with a cache of its own: reading,
floors, training, validation and test. Its resident memory (VmRSS, which counts mapped pages of the
text) is read 20 times a second; the figure is the highest one while it trains, and the highest of
all. The small text is source of Python's standard library; the large one is the small one over and
over, followed by a hole up to its size, so that it takes little space on a disk.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import figures

from charlab.data.report import SilentReport
from charlab.data.stdlib import read_stdlib

ROOT = Path(__file__).parents[1]
SMALL_BYTES = 5_000_000
REPEATED_BYTES = 200_000_000


def write_text(path: Path, num_bytes: int) -> None:
    """SMALL_BYTES of source, repeated, then a hole."""
    with read_stdlib(path.parent / "cache", SilentReport()).path.open("rb") as file:
        part = file.read(SMALL_BYTES)
    with path.open("wb") as file:
        for _ in range(min(num_bytes, REPEATED_BYTES) // SMALL_BYTES):
            file.write(part)
        file.truncate(num_bytes)


def measure(text: Path, folder: Path, lanes: int, steps: int) -> dict[str, float]:
    """MiB resident while training, and at any time; seconds in all."""
    command = [
        sys.executable,
        str(ROOT / "train.py"),
        "data=text",
        f"data.path={text}",
        f"data.batch_size={lanes}",
        "model.hidden_size=32",
        f"trainer.max_steps={steps}",
        # as often as the text is long, the rest of a run is the same for both
        "data.val_bytes=200000",
        "data.test_bytes=200000",
        "callbacks.progress.enabled=false",
        "logger.wandb.mode=disabled",
        f"paths.runs={folder / 'runs'}",
        f"paths.cache={folder / 'cache'}",
    ]
    training_mib = highest_mib = 0.0
    began_s = time.monotonic()
    with (folder / "out.txt").open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        while process.poll() is None:
            resident = resident_mib(process.pid)
            highest_mib = max(highest_mib, resident)
            if list(folder.glob("runs/*/*/metrics.jsonl")):  # written first when training starts
                training_mib = max(training_mib, resident)
            time.sleep(0.05)
    if process.returncode != 0:
        sys.exit((folder / "out.txt").read_text())
    return {
        "training_mib": training_mib,
        "highest_mib": highest_mib,
        "seconds": time.monotonic() - began_s,
    }


def resident_mib(pid: int) -> float:
    """VmRSS, 0 once the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def main() -> None:
    parser = figures.parser(__doc__)
    parser.add_argument("--large-bytes", type=int, default=2_000_000_000)
    parser.add_argument("--lanes", type=int, default=64)
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    found: dict[str, float] = {}
    for name, num_bytes in (("small", SMALL_BYTES), ("large", arguments.large_bytes)):
        with tempfile.TemporaryDirectory() as folder:
            text = Path(folder, "text.bin")
            write_text(text, num_bytes)
            row = measure(text, Path(folder), arguments.lanes, arguments.steps)
        found |= {f"{name}_bytes": num_bytes} | {f"{name}_{key}": row[key] for key in row}
    found |= {"lanes": arguments.lanes, "steps": arguments.steps}
    found["more_while_training_mib"] = found["large_training_mib"] - found["small_training_mib"]
    figures.show(found, "A text of 2 GB against one of 5 MB", arguments.json)


if __name__ == "__main__":
    main()
