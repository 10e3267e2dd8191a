"""What may happen while a run trains: divergence, early stopping, loggers, W&B, failures."""

import json
import math
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch

from charlab import tracking
from charlab.errors import UsageError
from charlab.tracking import resolve_mode

from .running import ROOT, rows, train


def test_an_exploding_loss_stops_the_run_and_marks_it_failed(tmp_path, capsys):
    exit_code, run = train(tmp_path, "optimizer.lr=1e30", "trainer.gradient_clip=0")
    assert exit_code == 3
    told = capsys.readouterr().err
    assert "training diverged" in told
    assert "a lower optimizer.lr (now 1e+30)" in told
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
    ["rnn", "lstm", "custom_rnn", "custom_gru", "custom_lstm", "mlstm"],
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


# ---------------------------------------------------------------------------------- W&B, offline
@pytest.fixture
def no_credentials(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def wandb_records(run):
    """What the offline file holds by type, read by W&B's own tool."""
    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    tool = Path(sys.executable).with_name("wandb")
    told = subprocess.run(
        [tool, "leet", "inspect", "--json", file], capture_output=True, text=True, check=True
    )
    records = defaultdict(list)
    for line in told.stdout.splitlines():
        record = json.loads(line)
        records[record["type"]].append(record.get(record["type"]))
    return records


def test_without_credentials_the_run_is_kept_offline_and_whole(tmp_path, no_credentials):
    exit_code, run = train(tmp_path, "logger.wandb.mode=auto", "logger.wandb.tags=[a,b]")
    assert exit_code == 0
    record = json.loads((run / "run.json").read_text())
    assert record["wandb"]["mode"] == "offline"
    records = wandb_records(run)
    (started,) = records["run"]
    assert started["run_id"] == record["wandb"]["id"]
    assert (started["project"], started["run_group"]) == ("charlab", "names")
    assert (started["display_name"], started["tags"]) == (run.name, ["a", "b"])
    assert records["config"][0]["update"]["model"]["hidden_size"] == 16
    assert records["exit"][0]["exit_code"] == 0
    history = [row["item"] for row in records["history"]]
    local = rows(run / "metrics.jsonl")
    for name in ("train/bpc", "val/bpc", "test/bpc", "baseline/ngram5_bpc"):
        assert [(row["trainer/global_step"], row[name]) for row in history if name in row] == [
            (row["step"], pytest.approx(row[name])) for row in local if name in row
        ]
    # a table of samples every 15 steps and after each validation
    tables = [row["trainer/global_step"] for row in history if "samples._type" in row]
    assert tables == [10, 15, 20, 30]


def test_a_failed_run_is_failed_in_wandb_too(tmp_path, no_credentials):
    exit_code, run = train(
        tmp_path, "logger.wandb.mode=offline", "optimizer.lr=1e30", "trainer.gradient_clip=0"
    )
    assert exit_code == 3
    assert wandb_records(run)["exit"][0]["exit_code"] == 1


@pytest.mark.parametrize("mode", ["online", "offline", "disabled"])
def test_wandb_mode_of_the_environment_decides_for_auto(monkeypatch, mode):
    monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setattr(tracking, "has_credentials", lambda: True)
    assert resolve_mode("auto") == mode
    assert resolve_mode("disabled") == "disabled"


def test_online_without_credentials_is_told_and_recorded(tmp_path, no_credentials, capsys):
    exit_code, run = train(tmp_path, "logger.wandb.mode=online")
    assert exit_code == 2
    assert "W&B cannot be online without credentials" in capsys.readouterr().err
    assert json.loads((run / "run.json").read_text())["status"] == "failed"


def test_a_misspelt_wandb_mode_is_told(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "ofline")
    with pytest.raises(UsageError, match="WANDB_MODE=ofline is not a mode"):
        resolve_mode("auto")


def test_a_server_that_does_not_answer_leaves_the_run_offline(
    tmp_path, no_credentials, monkeypatch, capsys
):
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nothing listens there
    exit_code, run = train(tmp_path, "logger.wandb.mode=auto")
    assert exit_code == 0
    assert "the server did not answer" in capsys.readouterr().out.replace("\n", " ")
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["wandb"]["mode"]) == ("finished", "offline")


# ------------------------------------------------------------------------------------- train.py
def test_show_prints_the_corpus_and_stops(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exit_code, run = train(tmp_path, "data.show=true")
    assert (exit_code, run) == (0, None)
    assert "distinct" in capsys.readouterr().out
    assert (tmp_path / "names.png").read_bytes().startswith(b"\x89PNG")


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
