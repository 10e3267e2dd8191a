"""What may happen while a run trains: divergence, early stopping, loggers, failures."""

import json
import math
import subprocess
import sys

import pytest
import torch

from .running import ROOT, rows, train


def test_an_exploding_loss_stops_the_run_and_marks_it_failed(tmp_path, capsys):
    exit_code, run = train(tmp_path, "optimizer.lr=1e30", "trainer.gradient_clip=0")
    assert exit_code == 3
    told = capsys.readouterr().err
    assert "training diverged" in told
    assert "a lower optimizer.lr (now 1e+30), trainer.gradient_clip=1 (now 0, which is off)" in told
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "failed"
    assert record["error"].startswith("TrainingDiverged")


def test_a_nan_loss_is_null_in_the_record(tmp_path, capsys):
    exit_code, run = train(
        tmp_path,
        "optimizer.lr=1e30",
        "trainer.gradient_clip=0",
        "callbacks.divergence.enabled=false",
        "callbacks.samples.enabled=false",
    )
    losses = [row["train/loss"] for row in rows(run / "metrics.jsonl") if "train/loss" in row]
    assert len(losses) == 6
    assert losses[-1] is None
    assert "NaN" not in (run / "metrics.jsonl").read_text()
    assert exit_code == 0
    record = json.loads((run / "run.json").read_text())
    assert (record["samples"], record["scores"]["test/bpc"]) == (None, None)


def test_early_stopping_ends_before_the_budget(tmp_path):
    exit_code, run = train(
        tmp_path,
        "callbacks.early_stopping.enabled=true",
        "callbacks.early_stopping.patience=1",
        "callbacks.early_stopping.min_delta=50",
        "trainer.max_steps=100",
    )
    assert exit_code == 0
    # the first validation is the best; none after it is 50 bits better
    assert [row["step"] for row in rows(run / "metrics.jsonl") if "val/bpc" in row] == [10, 20]
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def test_a_budget_of_epochs_validates_after_each_and_at_the_end(tmp_path):
    exit_code, run = train(
        tmp_path,
        "trainer.max_steps=40",
        "trainer.max_epochs=7",
        "trainer.val_every_n_steps=null",
    )
    assert exit_code == 0
    # 241 names in batches of 16 are 16 steps an epoch
    assert [row["step"] for row in rows(run / "metrics.jsonl") if "val/bpc" in row] == [16, 32, 40]


def test_the_schedule_spans_the_budget(tmp_path):
    exit_code, run = train(tmp_path, "scheduler=cosine", "scheduler.warmup_fraction=0.5")
    assert exit_code == 0
    metrics = rows(run / "metrics.jsonl")
    rates = {row["step"]: row["optim/lr"] for row in metrics if "optim/lr" in row}
    # the fifth step is step 4 of 0 to 29
    peak, lowest = 5e-3, 0.05 * 5e-3
    assert rates[5] == pytest.approx(peak * 5 / 15)
    half_way = (24 - 15) / (29 - 15)
    assert rates[25] == pytest.approx(
        lowest + (peak - lowest) * (1 + math.cos(math.pi * half_way)) / 2
    )


def test_clipping_bounds_what_the_norm_reports_unclipped(tmp_path):
    _, clipped = train(tmp_path, "trainer.gradient_clip=1e-9", "optimizer=adam", "model.dropout=0")
    _, free = train(tmp_path, "trainer.gradient_clip=0", "optimizer=adam", "model.dropout=0")
    norms = [
        [row["train/grad_norm"] for row in rows(run / "metrics.jsonl") if "train/loss" in row]
        for run in (clipped, free)
    ]
    assert min(norms[0]) > 1e-3
    assert min(norms[1]) > 1e-3
    assert norms[0] != norms[1]


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_other_precisions_train(tmp_path, precision):
    exit_code, run = train(tmp_path, f"trainer.precision={precision}")
    assert exit_code == 0
    dtype = torch.float64 if precision == "64-true" else torch.float32
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert state["model.head.weight"].dtype == dtype
    losses = [row["train/loss"] for row in rows(run / "metrics.jsonl") if "train/loss" in row]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    "model",
    [
        pytest.param("rnn", marks=pytest.mark.slow),
        "lstm",
        pytest.param("custom_rnn", marks=pytest.mark.slow),
        "custom_gru",
        pytest.param("custom_lstm", marks=pytest.mark.slow),
        "mlstm",
    ],
)
def test_every_cell_trains_two_layers_with_all_options(tmp_path, model):
    exit_code, run = train(
        tmp_path,
        f"model={model}",
        "model.num_layers=2",
        "model.layer_norm=true",
        "model.tie_weights=true",
        "model.init=orthogonal",
        "trainer.max_steps=60",
    )
    assert exit_code == 0
    losses = [row["train/loss"] for row in rows(run / "metrics.jsonl") if "train/loss" in row]
    assert losses[-1] < 0.95 * losses[0]


def test_twins_train_to_the_same_scores(tmp_path):
    twins = (
        ("model=gru",),
        ("model=custom_gru", "model.bias=both", "model.reset=after", "model.update_gate=keep"),
    )
    scores = []
    for twin in twins:
        exit_code, run = train(tmp_path, *twin)
        assert exit_code == 0
        scores.append(json.loads((run / "run.json").read_text())["scores"]["test/bpc"])
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_match_params_meets_the_budget(tmp_path):
    exit_code, run = train(tmp_path, "model=lstm", "model.match_params=2e4")
    assert exit_code == 0
    assert run.name.startswith("lstm-1xp2e04-")
    size = json.loads((run / "run.json").read_text())["model"]
    assert abs(size["num_params"] - 20_000) < 400
    assert size["hidden_size"] != 16


def test_tensorboard_writes_events(tmp_path):
    pytest.importorskip("tensorboard")
    exit_code, run = train(tmp_path, "logger.tensorboard.enabled=true")
    assert exit_code == 0
    assert list((run / "tensorboard").glob("events.out.tfevents.*"))


# ------------------------------------------------------------------------------------- train.py
def test_an_interrupted_run_is_recorded_as_preempted(tmp_path, monkeypatch, capsys):
    from charlab.callbacks.samples import Samples

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Samples, "_draw", interrupt)
    exit_code, run = train(tmp_path)
    assert exit_code == 130
    told = capsys.readouterr().err
    assert f"interrupted; to go on: charlab resume {run}" in told
    assert "Traceback" not in told
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["error"]) == ("preempted", "interrupted")


@pytest.mark.slow
def test_the_default_run_beats_the_best_ngram(tmp_path):
    done = subprocess.run(
        [sys.executable, "train.py", f"paths.runs={tmp_path}", "logger.wandb.mode=disabled"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "is beaten by" in done.stdout
