"""How long `charlab compare` takes over many run directories, for the table and for the page.

    python benchmarks/compare_many.py [--runs 500] [--rows 10000] [--seeds 5] [--json FILE]

The run directories are made up, in a temporary folder: variants of a GRU, each with so many seeds.
Each command is a process of its own, so its start counts.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import figures

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.run_directories import add_curves, add_samples, make_run  # noqa: E402


def make(folder: Path, num_runs: int, num_rows: int, num_seeds: int) -> None:
    """Run directories of num_runs / num_seeds variants."""
    for number in range(num_runs):
        variant, seed = divmod(number, num_seeds)
        path = make_run(
            folder,
            seed=seed,
            test=3.28 + 0.002 * (variant % 7) + 0.003 * ((number * 7919) % 11),
            config={"model.hidden_size": 100 + variant, "model.match_params": None},
        )
        add_samples(path)
        if number == 0:
            add_curves(path, num_rows)
            curves = (path / "metrics.jsonl").read_bytes()
        else:
            (path / "metrics.jsonl").write_bytes(curves)


def seconds(*words: str) -> float:
    """Of a command, from its start to its end."""
    began_s = time.monotonic()
    code = "import sys; from charlab.cli import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began_s


def main() -> None:
    parser = figures.parser(__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--rows", type=int, default=10_000, help="of metrics.jsonl in each")
    parser.add_argument("--seeds", type=int, default=5, help="of each variant")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "runs", asked.runs, asked.rows, asked.seeds)
        runs = str(folder / "runs")
        found = {
            "version_s": seconds("--version"),
            "compare_s": seconds("compare", runs),
            "compare_json_s": seconds("compare", runs, "--json"),
            "compare_html_s": seconds("compare", runs, "--html", str(folder / "page.html")),
            "page_mib": (folder / "page.html").stat().st_size / 2**20,
        }
    figures.show(found, f"{asked.runs} runs of {asked.rows:,} rows", None)
    if asked.json is not None:
        asked_for = {"runs": asked.runs, "rows": asked.rows, "seeds": asked.seeds}
        figures.write({**asked_for, **found}, asked.json)


if __name__ == "__main__":
    main()
