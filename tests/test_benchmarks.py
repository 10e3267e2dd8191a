"""What the benchmarks count with: turns, intervals, peaks, and a table of what is wanted.

Then each of them with tiny options, and the tables of docs/scripts/speed.py of what it has written.
"""

import importlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .running import ROOT
from .test_stream_runs import write_text

FOLDER = ROOT / "benchmarks"


@pytest.fixture
def module(monkeypatch):
    """Imports a file of benchmarks/ or docs/scripts, as they import each other."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "scripts"))
    return importlib.import_module


def test_the_ratio_is_that_of_the_same_round(module):
    ratio = module("turns").ratio
    assert ratio([2.0, 4.0, 8.0], [1.0, 1.0, 1.0]) == (4.0, 2.0, 8.0)
    # rounds that one of the two did not have count for nothing
    assert ratio([2.0, 4.0, 8.0], [1.0]) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(("rounds", "low"), [(5, 1), (6, 1), (8, 1), (9, 2), (12, 3), (15, 4)])
def test_the_interval_is_that_of_tables_of_the_sign_test(module, rounds, low):
    found = module("turns").ratio(list(range(1, rounds + 1)), [1.0] * rounds)
    assert (found.low, found.high) == (low, rounds + 1 - low)


def test_calls_take_turns_until_their_budget_is_spent(module, monkeypatch):
    turns = module("turns")
    monkeypatch.setattr(turns, "BLOCK_S", 0.001)
    order = []

    def call(name, pause_s):
        order.append(name)
        time.sleep(pause_s)

    calls = {"a": lambda: call("a", 0.01), "b": lambda: call("b", 0.01)}
    took_ms = turns.take_turns(calls, 5, {"a": 10.0, "b": 0.0})
    assert {name: len(found) for name, found in took_ms.items()} == {"a": 5, "b": 3}
    assert "".join(order) == "aabb" + "ab" + "ba" + "ab" + "a" + "a"
    assert all(found >= 10 for found in took_ms["a"])


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_peaks_are_those_of_the_call(module):
    with_peak = module("turns").with_peak
    length, peak_mib = with_peak(lambda: len(b"x" * (64 * 2**20)))
    assert length == 64 * 2**20
    assert 60 < peak_mib < 100
    assert with_peak(lambda: None)[1] < 30


def test_shapes_are_read_as_they_are_written(module):
    shape = module("stacks").Shape
    assert shape.read("100,512,300,30x2:bf16") == (100, 512, 300, 30, 2, "bf16")
    assert shape.read("1,2,3,4") == (1, 2, 3, 4, 1, "fp32")
    for text in module("engine").SHAPES:
        assert str(shape.read(text)) == text
    for text in ("1,2,3", "1,2,3,4x", "1,2,3,4:fp16", "a"):
        with pytest.raises(ValueError, match=text):
            shape.read(text)


def test_what_is_wanted_is_wanted_of_what_is_measured(module):
    engine = module("engine")
    assert set(engine.WANTED) <= set(module("stacks").ENTRIES)
    assert {shape for cell in engine.WANTED.values() for shape in cell} == set(engine.SHAPES)


def test_layers_of_torch_have_the_weights_of_their_cells(module, tmp_path):
    """Outputs and all gradients are equal: so a ratio compares the same computation."""
    stacks, rows = module("stacks"), module("layer_rows")
    shape = stacks.Shape.read("5,3,4,6x2")
    problem = stacks.Problem(shape)
    for entry in (entry for entry in stacks.ENTRIES.values() if entry.equal):
        exact = stacks.build(entry, shape, "reference", tmp_path)
        builtin = stacks.build(entry, shape, "torch", tmp_path)
        exact_y, exact_gradients = problem.exact(exact)
        y, gradients = problem.both(builtin)
        assert rows.relative_error(y, exact_y) < 1e-6
        wanted, found = (
            rows.by_gate(exact.double(), exact_gradients),
            rows.by_gate(builtin, gradients),
        )
        assert wanted.keys() == found.keys()
        assert all(rows.relative_error(found[name], wanted[name]) < 1e-5 for name in wanted)


def test_an_exact_answer_does_not_depend_on_the_rows_at_a_time(module, tmp_path, monkeypatch):
    stacks = module("stacks")
    shape = stacks.Shape.read("5,7,4,6")
    problem = stacks.Problem(shape)
    stack = stacks.build(stacks.ENTRIES["mlstm"], shape, "reference", tmp_path)
    whole = problem.exact(stack)
    monkeypatch.setattr(stacks, "EXACT_ROWS", 3)
    parts = problem.exact(stack)
    assert (whole[0] - parts[0]).abs().max() < 1e-14
    for one, other in zip(whole[1], parts[1], strict=True):
        assert (one - other).abs().max() < 1e-12


# -------------------------------------------------------------------------------------- many calls
def test_a_slow_call_that_was_made_is_not_made_again(module, monkeypatch):
    turns = module("turns")
    monkeypatch.setattr(turns, "BLOCK_S", 0.001)
    made = []
    calls = {name: lambda name=name: made.append(name) or time.sleep(0.01) for name in "ab"}
    called_s = {"a": turns.ONCE_S + 1, "b": 0.01}
    took_ms = turns.take_turns(calls, 2, dict.fromkeys(calls, 10.0), called_s)
    assert took_ms["a"] == [1000 * called_s["a"]]
    # one call that says how long it takes, then its rounds
    assert made == ["b"] * 3
    assert len(took_ms["b"]) == 2


@pytest.mark.parametrize(
    ("shape", "has_builtin", "with_sides", "engines"),
    [
        ("2,2,3,4", True, True, ["compiled", "eager", "reference"]),
        ("2,2,3,4", True, False, ["compiled"]),
        ("2,2,3,4:bf16", True, True, ["compiled"]),
        # torch has no layer for it: it is measured against the loop
        ("2,2,3,4", False, False, ["compiled", "reference"]),
        ("2,2,3,4:bf16", False, True, ["compiled", "eager", "reference"]),
    ],
)
def test_sides_are_left_out_where_that_is_said(module, shape, has_builtin, with_sides, engines):
    shape = module("stacks").Shape.read(shape)
    assert list(module("layer_rows").engines_at(shape, has_builtin, with_sides)) == engines


@pytest.mark.parametrize(
    ("cores", "workers"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (6, [1, 2, 4, 6])]
)
def test_workers_double_up_to_the_cores(module, cores, workers):
    assert module("sweep_scaling").default_workers(cores) == workers


def test_sweeps_are_set_against_those_of_the_same_round(module):
    """Round k takes k times as long as the first; so do jobs by hand, at half a sweep's a job."""
    sweep_scaling = module("sweep_scaling")

    class Stub:
        started = []

        def by_hand(self, num_jobs):
            self.started.append((0, num_jobs))
            return 2.0 * num_jobs * self.round()

        def sweep(self, num_jobs, num_workers):
            self.started.append((num_workers, num_jobs))
            return 4.0 * num_jobs * self.round() / num_workers, 0.5

        def round(self):
            return (len(self.started) + 1) // 3  # one job goes before

    found = sweep_scaling.measure(Stub(), 6, [1, 2], 3, 2)
    in_turns = [(0, 2), (1, 6), (2, 6)]
    assert Stub.started == [(0, 1), *in_turns, *in_turns[::-1], *in_turns]
    assert found["by_hand_s_per_job"] == 2.0 * 2
    assert found["sweep_to_by_hand"] == {"ratio": 2.0, "ratio_low": 2.0, "ratio_high": 2.0}
    assert [row["s_per_job"] for row in found["sweeps"]] == [4.0 * 2, 2.0 * 2]
    assert [row["ratio"] for row in found["sweeps"]] == [1.0, 2.0]
    assert found["again_s"] == 0.5


def test_all_goes_on_when_one_fails(module, tmp_path, monkeypatch, capfd):
    everything = module("all")
    (tmp_path / "good.py").write_text("import sys; open(sys.argv[2], 'w').write(sys.argv[3])")
    (tmp_path / "bad.py").write_text(
        "import sys; open(sys.argv[2], 'w').write('half'); sys.exit(3)"
    )
    scripts = {"bad": (str(tmp_path / "bad.py"),), "good": (str(tmp_path / "good.py"), "[7]")}
    monkeypatch.setattr(everything, "BENCHMARKS", scripts)
    folder = tmp_path / "speed"
    folder.mkdir()
    (folder / "bad.json").write_text("what was there")
    monkeypatch.setattr(sys, "argv", ["all.py", "--folder", str(folder), "--only", *scripts])
    assert everything.main() == 1
    assert (folder / "bad.json").read_text() == "what was there"
    assert (folder / "good.json").read_text() == "[7]"
    assert {path.name for path in folder.iterdir()} == {"bad.json", "good.json", "machine.json"}
    assert "failed: bad" in capfd.readouterr().out
    machine = json.loads((folder / "machine.json").read_text())
    assert machine["cores"] == len(os.sched_getaffinity(0))
    assert machine["torch"].partition("+")[0] == module("torch").__version__.partition("+")[0]
    assert os.uname().nodename not in json.dumps(machine).split('"')


def test_all_has_every_benchmark(module):
    """But those that are parts of others; and what is said of shapes is said of those there are."""
    everything = module("all")
    scripts = {words[0] for words in everything.BENCHMARKS.values()}
    with_json = {path.name for path in FOLDER.glob("*.py") if "figures.parser" in path.read_text()}
    assert scripts == with_json
    assert everything.NOTEBOOK_SHAPE in module("engine").SHAPES


# ------------------------------------------------------------------------------------------ tables
SMALL = ("data.batch_size=4", "data.seq_len=5", "model.hidden_size=8", "model.embedding_size=8")
# by name as in all.py: the script and tiny options; {text} and {cache} are options
SCRIPTS = {
    "compare_many": ("compare_many.py", "--runs", "4", "--rows", "20", "--seeds", "2"),
    "bootstrap_coverage": ("bootstrap_coverage.py", "--rows", "20", "--seeds", "3"),
    "engine": (
        *("engine.py", "--shapes", "4,2,3,4x2", "4,2,3,4:bf16", "--cells", "gru after", "mlstm"),
        *("--repeats", "2", "--budget-s", "0.1", "--characters", "2"),
    ),
    "overhead_names": ("overhead.py", "--blocks", "3", "--block-steps", "2", "{cache}"),
    "overhead_notebook": (
        *("overhead.py", "--blocks", "3", "--block-steps", "1"),
        *("experiment=notebook_enwik8_gru", "data=text", "{text}", "{cache}", *SMALL),
    ),
    "whole_step": ("whole_step.py", "--repeats", "2", "data=text", "{text}", "{cache}", *SMALL),
    "data_path": ("data_path.py", "--steps", "2", "data=text", "{text}", "{cache}", *SMALL),
    "memory": ("memory.py", "--large-bytes", "10000000", "--lanes", "4", "--steps", "2"),
    "sweep_scaling": (
        *("sweep_scaling.py", "--jobs", "2", "--steps", "2", "--workers", "1", "2"),
        *("--repeats", "1", "--by-hand", "1", "callbacks.samples.num_samples=1"),
    ),
    "soak": ("soak.py", "--kills", "1", "--only", "names"),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of figures, once those of the benchmark by name are there; and these."""
    folder = tmp_path_factory.mktemp("speed")
    text = tmp_path_factory.mktemp("text")
    words = {"text": f"data.path={write_text(text)}", "cache": f"paths.cache={text / 'cache'}"}

    def get(name):
        path = folder / f"{name}.json"
        if not path.exists():
            script, *options = (word.format(**words) for word in SCRIPTS[name])
            command = [sys.executable, str(FOLDER / script), "--json", str(path), *options]
            subprocess.run(command, check=True, cwd=text, stdout=subprocess.DEVNULL)
        return folder, json.loads(path.read_text())

    return get


def lines_of(markdown):
    """By the first cell of each line, the other cells; all lines have as many."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in markdown.splitlines()]
    assert {len(line) for line in lines} == {len(lines[0])}
    return {line[0]: line[1:] for line in lines[2:]}


def shows(cell, *values):
    """Whether the numbers in a cell are these, rounded to as many places as are shown."""
    found = re.findall(r"\d[\d,]*(?:\.\d+)?", cell)
    places = [len(text.partition(".")[2]) for text in found]
    return found == [f"{value:,.{n}f}" for value, n in zip(values, places, strict=True)]


def shows_ratio(cell, row):
    ends = [row["ratio_low"], row["ratio_high"]]
    return shows(cell, row["ratio"], *(ends if ends[0] != ends[1] else []))


def test_a_ratio_has_its_interval_where_there_is_one(module):
    ratio = module("speed").ratio
    assert ratio({"ratio": 1.346, "ratio_low": 1.1, "ratio_high": 10.26}) == "1.35 [1.10, 10.3]"
    assert ratio({"ratio": 0.5, "ratio_low": 0.5, "ratio_high": 0.5}) == "0.50"


def test_the_table_of_compare(module, written):
    folder, found = written("compare_many")
    markdown = module("speed").BLOCKS["speed-compare"](folder)
    assert markdown.startswith("| 4 runs of 20 rows | s |")
    lines = lines_of(markdown)
    assert shows(*lines["charlab compare"], found["compare_s"])
    assert shows(*lines["charlab --version"], found["version_s"])
    assert shows(*lines["charlab compare --json"], found["compare_json_s"])
    (page,) = (name for name in lines if "--html" in name)
    assert shows(*lines[page], found["compare_html_s"])
    assert shows(page, found["page_mib"])


def test_the_table_of_coverage(module, written):
    folder, found = written("bootstrap_coverage")
    lines = lines_of(module("speed").BLOCKS["speed-coverage"](folder))
    assert len(lines) == len(found) == len(module("bootstrap_coverage").KINDS)
    for row in found:
        cells = lines[f"{row['kind']}, 3 seeds"]
        ways = row["covered_and_width"].values()
        for cell, (part, width) in zip(cells, ways, strict=True):
            assert shows(cell, part, *([] if width is None else [width]))
            assert ("infinite" in cell) == (width is None)


@pytest.mark.slow
def test_the_tables_of_the_engine(module, written):
    folder, found = written("engine")
    speed = module("speed")
    layers = {
        (row["shape"], row["cell"], row["peer"]): row for row in found if row["kind"] == "layer"
    }
    lines = lines_of(speed.BLOCKS["speed-engine"](folder))
    shapes = {"4,2,3,4x2": "4, 2, 3, 4, two layers", "4,2,3,4:bf16": "4, 2, 3, 4, bf16"}
    assert list(lines) == list(shapes.values())
    for shape, words in shapes.items():
        for cell, name in zip(lines[words], ("gru after", "mlstm"), strict=True):
            assert shows_ratio(cell, layers[shape, name, "compiled"])
    detail = speed.BLOCKS["speed-engine-detail"](folder).splitlines()[2:]
    assert len(detail) == 4
    gru = [cell.strip() for cell in detail[0].split("|")[3:-1]]
    peers = (("gru after", "compiled"), ("gru", "nn.GRU"), ("gru after", "eager"))
    of_all = [layers["4,2,3,4x2", *peer] for peer in (*peers, ("gru after", "loop"))]
    for cell, row in zip(gru, of_all):
        assert shows(cell, row["forward_backward_ms"])
    assert shows_ratio(gru[4], of_all[0])
    assert shows(gru[5], 100 * of_all[0]["gemm_floor_fraction"])
    firsts = {(r["entry"], r["engine"]): r for r in found if r["kind"] == "first use"}
    first = lines_of(speed.BLOCKS["speed-first-use"](folder))
    for name, label in (("gru after", "GRU"), ("mlstm", "mLSTM")):
        compiled = firsts[name, "compiled"]
        assert shows(first[label][0], compiled["first_s"])
        assert shows(first[label][1], compiled["again_s"])
        assert shows(first[label][3], firsts[name, "reference"]["first_s"])
    assert shows(first["GRU"][4], firsts["gru after", "torch"]["first_s"])
    assert first["mLSTM"][4] == ""
    drawn = [row for row in found if row["kind"] == "sampling"]
    sampling = lines_of(speed.BLOCKS["speed-sampling"](folder))
    assert len(sampling) == len(drawn)
    for row in drawn:
        chars, seconds, faster = sampling[f"{row['rows']}, by {row['peer']}"]
        assert shows(chars, row["chars_per_s"])
        assert shows(seconds, row["seconds_for_1000"])
        assert shows_ratio(faster, row)


@pytest.mark.slow
def test_the_tables_of_training(module, written):
    speed = module("speed")
    found = [written(name)[1] for name in ("overhead_names", "overhead_notebook")]
    folder, steps = written("whole_step")
    lines = lines_of(speed.BLOCKS["speed-training"](folder))
    for (bare, ours, longer, num), row in zip(lines.values(), found, strict=True):
        assert shows(bare, row["bare_step_ms"])
        assert shows(ours, row["trainer_step_ms"])
        assert shows_ratio(longer, row)
        assert shows(num, row["steps"])
    assert [row["steps"] for row in found] == [6, 3]
    lines = lines_of(speed.BLOCKS["speed-step"](folder))
    for row in steps:
        engine, step, chars, faster = lines[f"`{row['peer']}`"]
        assert engine == row["engine"]
        assert shows(step, row["step_ms"])
        assert row["chars_per_s"] == pytest.approx(4 * 5 / (row["step_ms"] / 1000))
        assert shows(chars, row["chars_per_s"])
        assert shows_ratio(faster, row)
    assert [row["engine"] for row in steps[::2]] == ["torch", "reference"]
    _, draws = written("data_path")
    ((draw, cells),) = lines_of(speed.BLOCKS["speed-data"](folder)).items()
    named = ("draw_ms", "slowest_draw_ms", "step_ms", "share_percent")
    assert all(shows(cell, draws[name]) for cell, name in zip((draw, *cells), named, strict=True))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_the_table_of_memory(module, written):
    folder, found = written("memory")
    lines = lines_of(module("speed").BLOCKS["speed-memory"](folder))
    for words, name in (("5 MB", "small"), ("10 MB", "large")):
        parts = ("training_mib", "highest_mib", "seconds")
        assert all(shows(cell, found[f"{name}_{part}"]) for cell, part in zip(lines[words], parts))
    more = found["large_training_mib"] - found["small_training_mib"]
    assert lines["more"][0] == f"{more:,.0f}"


@pytest.mark.slow
def test_the_table_of_sweeps(module, written):
    folder, found = written("sweep_scaling")
    lines = lines_of(module("speed").BLOCKS["speed-sweep"](folder))
    for row in found["sweeps"]:
        seconds, per_job, faster = lines[f"2 jobs, {row['workers']} at a time"]
        assert shows(seconds, row["seconds"])
        assert shows(per_job, row["seconds"] / 2)
        assert shows_ratio(faster, row)
    one, two = found["sweeps"]
    assert two["ratio"] == pytest.approx(one["seconds"] / two["seconds"])
    _, per_job, faster = lines["by hand, one after the other"]
    assert shows(per_job, found["by_hand_s_per_job"])
    assert shows_ratio(faster, found["sweep_to_by_hand"])
    assert shows(lines["again, all 2 done"][0], found["again_s"])
    assert found["again_s"] < one["seconds"]


@pytest.mark.slow
def test_the_table_of_the_soak(module, written):
    folder, found = written("soak")
    lines = lines_of(module("speed").BLOCKS["speed-soak"](folder))
    (row,) = found
    *kills, runs, differ, _ = lines["names"]
    assert sum(map(int, kills)) == sum(row["kills"].values()) == 1
    assert int(runs) == row["runs"] >= 1
    assert int(differ) == 0
    assert lines["all"] == lines["names"]


def test_sums_of_the_soak(module):
    rows = [
        {"name": "a", "kills": {"SIGINT": 2}, "runs": 3, "differ": 0, "seconds": 1.5},
        {"name": "b", "kills": {"SIGINT": 1, "SIGKILL": 4}, "runs": 1, "differ": 1, "seconds": 9},
    ]
    lines = lines_of(module("speed").soak_table(rows))
    assert lines["a"] == ["0", "0", "2", "0", "3", "0", "2"]
    assert lines["all"] == ["4", "0", "3", "0", "4", "1", "10"]
