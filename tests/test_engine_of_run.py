"""What runs the cells of a run: recorded, shown, and of no consequence for the scores."""

import json

import pytest

from charlab import cli
from charlab.engine.cpu import build

from .cells.table import ENGINES
from .running import train

SHORT = "trainer.max_steps=10"
CUSTOM = ("model=custom_gru", "model.num_layers=2", "trainer.precision=64-true", SHORT)


def test_every_engine_trains_to_the_same_scores(tmp_path, capsys):
    scores = []
    for engine in ENGINES:
        exit_code, run = train(tmp_path, *CUSTOM, f"model.engine={engine}")
        assert exit_code == 0
        assert f"\nengine  {engine} " in capsys.readouterr().out
        record = json.loads((run / "run.json").read_text())
        assert record["model"]["engine"] == engine
        scores.append(record["scores"])
    assert scores == [pytest.approx(scores[0], rel=1e-9)] * len(ENGINES)


def test_auto_without_a_compiler_trains_and_says_so_once(tmp_path, capsys, caplog, monkeypatch):
    monkeypatch.setattr(build, "_loaded", {})
    monkeypatch.delenv("CXX", raising=False)
    with monkeypatch.context() as during:
        during.setenv("PATH", str(tmp_path))
        exit_code, run = train(tmp_path, *CUSTOM)
    assert exit_code == 0
    assert json.loads((run / "run.json").read_text())["model"]["engine"] == "eager"
    said = " ".join("".join(capsys.readouterr()).split())
    assert said.count("CustomGRU runs in plain torch, which is slower than compiled") == 1
    assert caplog.records == []
    assert "note CustomGRU runs in plain torch" in said


def test_what_cannot_be_had_is_refused_before_a_run_is_made(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(build, "_loaded", {})
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    exit_code, run = train(tmp_path, *CUSTOM, "model.engine=compiled")
    assert (exit_code, run) == (2, None)
    error = capsys.readouterr().err
    assert "CustomGRU cannot run with model.engine=compiled" in error
    assert "there is no C++ compiler" in error
    assert "model.engine=auto" in error


def test_a_run_can_be_read_under_another_engine(tmp_path, capsys):
    exit_code, run = train(tmp_path, *CUSTOM)
    assert exit_code == 0
    capsys.readouterr()
    told = []
    for engine in ENGINES:
        assert cli.run(["eval", str(run), "--json", f"model.engine={engine}"]) == 0
        told.append(json.loads(capsys.readouterr().out)["test/bpc"])
    assert told == [pytest.approx(told[0], rel=1e-5)] * len(ENGINES)
