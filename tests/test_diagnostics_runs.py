"""Diagnostics in runs of the real train.py: their rows, and training without them to the bit."""

import json

import pytest

from .jobs import Job
from .killing import differences, results, train_in_fork
from .running import STREAM, rows, write_names
from .test_stream_runs import write_text

ON = ("callbacks.diagnostics.enabled=true", "callbacks.diagnostics.num_rows=8")
RUNS = {
    "names": ("model=gru", "model.dropout=0.3", "model.layer_norm=true"),
    "stream": (*STREAM, "model=custom_gru", "model.num_layers=2", "model.dropout=0.2"),
    "mixed": (*STREAM, "model=lstm", "model.tie_weights=true", "trainer.precision=bf16-mixed"),
}


def trained(folder, *overrides):
    """The run directory."""
    folder.mkdir()
    data = [f"data.path={write_text(folder)}"] if "data=text" in overrides else []
    assert train_in_fork(folder, *overrides, *data) == 0, (folder / "log.txt").read_text()
    (file,) = folder.glob("runs/*/*/run.json")
    return file.parent


def without_diagnostics(found):
    found["last"]["callbacks"].pop("DiagnosticsLog", None)
    del found["diagnostics"]
    found["metrics"] = [
        row for row in found["metrics"] if not any(name.startswith("diagn") for name in row)
    ]
    return found


@pytest.mark.parametrize("name", ["names", "stream", pytest.param("mixed", marks=pytest.mark.slow)])
def test_each_validation_is_measured_and_training_is_the_same_to_the_bit(tmp_path, name):
    overrides = (*RUNS[name], f"paths.cache={tmp_path}")
    on = trained(tmp_path / "on", *overrides, *ON)
    off = trained(tmp_path / "off", *overrides)
    measured, logged = rows(on / "diagnostics.jsonl"), rows(on / "metrics.jsonl")
    assert [row["step"] for row in measured] == [10, 20, 30]
    metrics = [row for row in logged if "diagnostics/memory_steps" in row]
    assert [row["step"] for row in metrics] == [10, 20, 30]
    for row, metric in zip(measured, metrics, strict=True):
        assert metric["diagnostics/memory_steps"] == row["memory_steps"]
        assert 0 <= metric["diagnostics/saturated"] <= 1
        assert row["lag"] == list(range(len(row["grad_norm"])))
        assert row["position"] == list(range(1, len(row["bits"]) + 1))
    # each learns within its few steps
    assert sum(measured[-1]["bits"]) < sum(measured[0]["bits"])

    assert not (off / "diagnostics.jsonl").exists()
    both = (without_diagnostics(results(run)) for run in (on, off))
    assert list(differences(*both)) == []


def test_rows_are_as_far_apart_as_asked_for(tmp_path):
    run = trained(tmp_path / "run", *RUNS["names"], *ON, "callbacks.diagnostics.every_n_steps=15")
    assert [row["step"] for row in rows(run / "diagnostics.jsonl")] == [10, 30]


@pytest.mark.slow
def test_the_first_of_two_processes_measures_alone(tmp_path):
    write_names(tmp_path)
    job = Job(tmp_path, "trainer=ddp", *ON, "model=custom_lstm")
    exit_code, _, err = job.end()
    assert (exit_code, err) == (0, "")
    assert [row["step"] for row in rows(job.run / "diagnostics.jsonl")] == [10, 20, 30]
    metrics = rows(job.run / "metrics.jsonl")
    assert sum("diagnostics/saturated" in row for row in metrics) == 3
    assert json.loads((job.run / "run.json").read_text())["status"] == "finished"
