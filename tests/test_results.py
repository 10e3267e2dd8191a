"""What docs/results.md says is what the records say, and the records are what the sweeps make."""

import importlib
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from charlab.sweeps.definition.files import read_sweep_file
from charlab.sweeps.search.plan import plan

from .run_directories import add_curves, add_samples, make_run
from .running import ROOT

DOCS = ROOT / "docs"
RESULTS = DOCS / "results"
RECORDS = sorted(RESULTS.glob("*/*/run.json"))
HEAD = ("data=text", "data.path=corpora/enwik8_head.bin")
# the sweep file of each group, and what is typed behind it
SWEEPS = {
    "tuned_names": ("tuned_names.yaml", ()),
    "tuned_kantrowitz": ("tuned_kantrowitz.yaml", ("data.path=corpora/names_kantrowitz.txt",)),
    "tuning_enwik8_head": ("tuning_stream.yaml", (*HEAD, "group=tuning_enwik8_head")),
    "tuned_enwik8_head": ("tuned_stream.yaml", (*HEAD, "group=tuned_enwik8_head")),
    "tuned_stdlib": (
        "tuned_stream.yaml",
        ("data.val_bytes=500000", "data.test_bytes=500000", "group=tuned_stdlib"),
    ),
    "notebook_padding": ("notebook_padding.yaml", ("data.path=corpora/names_kantrowitz.txt",)),
    "notebook_enwik8_head": (
        "notebook_enwik8.yaml",
        (
            *("data.path=corpora/enwik8_head.bin", "data.verify=false", "trainer.max_epochs=1"),
            *("trainer.log_every_n_steps=10", "group=notebook_enwik8_head"),
        ),
    ),
}


@pytest.fixture
def module(monkeypatch):
    """Imports a script of docs/scripts, as they import each other."""
    monkeypatch.syspath_prepend(str(DOCS / "scripts"))
    return importlib.import_module


def scores(group, name):
    """{cell: [score of each run]}, read without the reader of runs."""
    found = {}
    for file in RESULTS.glob(f"{group}/*/run.json"):
        cell = yaml.safe_load(file.with_name("config.yaml").read_text("utf-8"))["model"]["cell"]
        found.setdefault(cell, []).append(json.loads(file.read_text("utf-8"))["scores"][name])
    return found


def tables_of(document, name):
    """The rows of a table of a document, each a list of cells."""
    text = document.read_text("utf-8").partition(f"<!-- {name} -->\n")[2]
    lines = text.partition(f"<!-- end of {name} -->")[0].splitlines()
    return [[cell.strip(" *`") for cell in line.strip("|").split("|")] for line in lines]


# ------------------------------------------------------------------------------------ the documents
def test_the_documents_say_what_the_records_say(module, capsys):
    assert module("write").main(["--check"]) == 0, capsys.readouterr().err


def test_every_table_has_its_place(module):
    placed = [
        name
        for document in module("write").DOCUMENTS
        for name in re.findall(r"^<!-- (?!end of )([\w-]+) -->$", document.read_text("utf-8"), re.M)
    ]
    made = {*module("write").BLOCKS}
    assert made == set(placed)
    assert placed.count("answer") == 2


def test_a_table_that_is_not_up_to_date_is_noticed(module, tmp_path, monkeypatch, capsys):
    write = module("write")
    document = tmp_path / "results.md"
    document.write_text("before\n<!-- answer -->\n| old |\n<!-- end of answer -->\nafter\n")
    monkeypatch.setattr(write, "DOCUMENTS", (document,))
    assert write.main(["--check"]) == 1
    assert str(document) in capsys.readouterr().err
    assert "| old |" in document.read_text()
    monkeypatch.setattr(write, "FIGURES", {})
    assert write.main([]) == 0
    assert "| old |" not in document.read_text()
    assert document.read_text().startswith("before\n<!-- answer -->\n| ")
    assert document.read_text().endswith("\n<!-- end of answer -->\nafter\n")
    assert write.main(["--check"]) == 0


@pytest.mark.parametrize("group", ["tuned_names", "tuned_kantrowitz"])
def test_scores_of_names_are_means_over_their_runs(group):
    table = tables_of(DOCS / "results.md", group.removeprefix("tuned_"))
    found, nats = scores(group, "test/bpc"), scores(group, "test/nats_per_name")
    for cell, values in found.items():
        (row,) = [row for row in table if row[0] == cell]
        assert len(values) == 5
        assert float(row[5].split()[0]) == pytest.approx(np.mean(values), abs=5.1e-4)
        assert float(row[6].split()[0]) == pytest.approx(np.mean(values) * math.log(2), abs=5.1e-4)
        assert float(row[7]) == pytest.approx(np.mean(nats[cell]), abs=5.1e-3)


@pytest.mark.parametrize(
    ("group", "name"), [("tuned_enwik8_head", "enwik8-head"), ("tuned_stdlib", "stdlib")]
)
def test_scores_of_streams_are_means_over_their_runs(group, name):
    table = tables_of(DOCS / "results.md", name)
    for column, split in ((4, "val"), (5, "test")):
        for cell, values in scores(group, f"{split}/bpc").items():
            (row,) = [row for row in table if row[0] == cell]
            assert len(values) == 3
            assert float(row[column].split()[0]) == pytest.approx(np.mean(values), abs=5.1e-4)


def test_the_best_cell_beats_what_is_asked_of_it_on_kantrowitzs_names():
    nats = {cell: np.mean(found) for cell, found in scores("tuned_kantrowitz", "test/loss").items()}
    assert min(nats.values()) < 1.93


@pytest.mark.parametrize(
    ("trials", "group"),
    [
        *(("tuning_names", "tuned_names"), ("tuning_kantrowitz", "tuned_kantrowitz")),
        *(("tuning_enwik8_head", "tuned_enwik8_head"), ("tuning_enwik8_head", "tuned_stdlib")),
    ],
)
def test_the_tuned_settings_are_those_of_the_best_trial(trials, group):
    best = {}
    for file in RESULTS.glob(f"{trials}/*/run.json"):
        score = json.loads(file.read_text("utf-8"))["scores"]["val/bpc"]
        config = yaml.safe_load(file.with_name("config.yaml").read_text("utf-8"))
        settings = (config["optimizer"]["lr"], config["model"]["dropout"])
        cell = config["model"]["cell"]
        best[cell] = min(best.get(cell, (math.inf, ())), (score, settings))
    for file in RESULTS.glob(f"{group}/*/config.yaml"):
        config = yaml.safe_load(file.read_text("utf-8"))
        settings = (config["optimizer"]["lr"], config["model"]["dropout"])
        assert settings == pytest.approx(best[config["model"]["cell"]][1], rel=1e-3)


# -------------------------------------------------------------------------------------- the records
@pytest.mark.parametrize("group", SWEEPS)
def test_the_records_are_the_jobs_of_the_sweep(group):
    file, behind = SWEEPS[group]
    # the files named by data.path are not part of the project
    composable = [word for word in behind if not word.startswith(("data", "group"))]
    sweep = read_sweep_file(ROOT / "sweeps" / file)
    jobs = plan(sweep, composable, per=None, num_trials=None, storage_url=None, seed=0).jobs
    left_out = {f"group={sweep.path.stem}", *behind}
    wanted = sorted(sorted({*job.overrides} - left_out) for job in jobs)
    got = []
    for record in RESULTS.glob(f"{group}/*/overrides.txt"):
        typed = set(record.read_text("utf-8").splitlines())
        assert typed >= {word for word in behind if not word.startswith("group")}
        got.append(sorted(typed - {f"group={group}", "logger.wandb.mode=disabled", *behind}))
    assert sorted(got) == wanted


@pytest.mark.parametrize("file", RECORDS, ids=lambda file: f"{file.parts[-3]}/{file.parts[-2]}")
def test_a_record_is_whole_and_tells_nothing_of_its_machine(file):
    record = json.loads(file.read_text("utf-8"))
    assert record["status"] == "finished"
    assert record["num_steps"] == record["total_steps"]
    assert record["git"]["dirty"] is False
    text = "".join(one.read_text("utf-8") for one in file.parent.iterdir())
    assert not re.search(r"[\"' ]/(?!\d)\w+/", text)


def test_what_is_collected_can_be_read_and_compared(module, tmp_path, monkeypatch):
    collect = module("collect")
    monkeypatch.setattr(collect, "RESULTS", tmp_path / "results")
    run = make_run(tmp_path / "runs", "gru", test=3.25)
    add_curves(run, 1000)
    add_samples(run)
    monkeypatch.chdir(tmp_path)
    assert collect.main(["cells"]) == 0
    (kept,) = (tmp_path / "results").glob("cells/*")
    assert json.loads((kept / "run.json").read_text())["scores"]["test/bpc"] == 3.25
    before = (run / "metrics.jsonl").read_text().splitlines()
    after = (kept / "metrics.jsonl").read_text().splitlines()
    assert len(after) < 0.3 * len(before)
    assert {line for line in before if '"val/bpc"' in line} <= set(after) <= set(before)
    assert sum("train/loss" in line for line in after) <= collect.MOST_TRAIN_ROWS
    steps = {json.loads(line)["step"] for line in (kept / "samples.jsonl").read_text().splitlines()}
    assert len(steps) == 1
    assert yaml.safe_load((kept / "config.yaml").read_text())["paths"]["cache"] == collect.CACHE
    compare = importlib.import_module("charlab.compare.compare").compare
    read = importlib.import_module("charlab.reading.find").read_runs
    (one,) = compare(read([str(tmp_path / "results")])).sets
    assert one.variants[0].test.mean == 3.25


def test_runs_that_have_not_finished_are_no_results(module, tmp_path, monkeypatch, capsys):
    collect = module("collect")
    monkeypatch.setattr(collect, "RESULTS", tmp_path / "results")
    run = make_run(tmp_path / "runs", "gru", status="failed")
    assert collect.main([str(run)]) == 2
    assert str(run) in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
    assert collect.main([]) == 2


def test_figures_are_small(module):
    for name in module("write").FIGURES:
        assert 10_000 < (DOCS / "figures" / name).stat().st_size < 200_000
    assert Path(DOCS / "figures" / "answer.png").read_bytes().startswith(b"\x89PNG")
