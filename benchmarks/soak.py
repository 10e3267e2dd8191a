"""The soak of resuming as figures: many kills at random, and what they changed.

    python benchmarks/soak.py [--kills 6] [--kills-of-two 3] [--only NAME ...] [--json FILE]

Runs tests/test_soak.py, which needs the extra `dev`. In each configuration a run that nobody
touches is set against runs that are killed and go on, and whose weights, metrics, samples and
checkpoints are to be the same to the bit. Fails where one differs, with what differs.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import figures

ROOT = Path(__file__).parents[1]
FILE = "tests/test_soak.py"
OF_TWO = "two processes"
OF_TWO_TEST = f"{FILE}::test_random_kills_of_two_processes_change_nothing"
OF_ONE_TEST = f"{FILE}::test_random_kills_change_nothing"


def run(kills: int, kills_of_two: int, only: list[str], folder: Path) -> tuple[list[Any], int]:
    """A row for each configuration that was gone through, and the exit code of pytest."""
    found = folder / "soak.jsonl"
    found.touch()
    tests = [OF_TWO_TEST if name == OF_TWO else f"{OF_ONE_TEST}[{name}]" for name in only]
    command = [sys.executable, "-m", "pytest", "-m", "slow", "-p", "no:cacheprovider"]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",  # the runs are forks of one process, which threads do not survive
        "SOAK_KILLS": str(kills),
        "SOAK_KILLS_OF_TWO": str(kills_of_two),
        "SOAK_JSONL": str(found),
    }
    done = subprocess.run(
        [*command, f"--basetemp={folder / 'pytest'}", *(tests or [FILE])],
        cwd=ROOT,
        env=environment,
    )
    return [json.loads(line) for line in found.read_text().splitlines()], done.returncode


def line(row: dict[str, Any]) -> dict[str, str]:
    return {
        "by": row["name"],
        "kills": str(sum(row["kills"].values())),
        "runs": str(row["runs"]),
        "differ": str(row["differ"]),
        "s": f"{row['seconds']:.0f}",
    }


def main() -> None:
    parser = figures.parser(__doc__)
    parser.add_argument("--kills", type=int, default=6, help="of each configuration")
    parser.add_argument("--kills-of-two", type=int, default=3, help="of the one of two processes")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help=f'configurations; "{OF_TWO}" is one'
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows, code = run(asked.kills, asked.kills_of_two, asked.only, Path(folder))
    if rows:
        figures.show_rows([line(row) for row in rows], "Kills, and runs that they changed")
    if code != 0:
        sys.exit(code)
    if asked.json is not None:
        figures.write(rows, asked.json)


if __name__ == "__main__":
    main()
