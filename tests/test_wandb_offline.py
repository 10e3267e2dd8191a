"""W&B without a server: which mode a run has, and what its files hold."""

import json
import math
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import torch
import wandb
from PIL import Image
from wandb.env import error_reporting_enabled

from charlab.callbacks.histograms import histogram
from charlab.config.schema_output import WandbConfig
from charlab.errors import UsageError
from charlab.tracking import Tracking, mode, resolve_mode
from charlab.tracking.logger import RunCopy
from charlab.tracking.service import use_own_service

from .killing import Blow, differences, results, train_in_fork
from .running import rows, train
from .wandb_files import wandb_files

STEP, CHARS_SEEN, SECONDS = "trainer/global_step", "progress/chars_seen", "progress/seconds"
HISTOGRAMS = ("logger.wandb.histograms=all", "logger.wandb.histograms_every_n_steps=10")


def log_out(patch, home):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        patch.delenv(name, raising=False)
    patch.setenv("HOME", str(home))
    patch.setenv("NETRC", str(home / "netrc"))


@pytest.fixture
def no_credentials(monkeypatch, tmp_path):
    log_out(monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(run directory, its W&B file) of a run without credentials that sends all it can."""
    folder = tmp_path_factory.mktemp("whole")
    options = ("logger.wandb.tags=[a,b]", "logger.wandb.checkpoint=true", *HISTOGRAMS)
    with pytest.MonkeyPatch.context() as patch:
        log_out(patch, folder)
        exit_code, run = train(folder, "logger.wandb.mode=auto", *options)
    assert exit_code == 0
    (file,) = wandb_files(run)
    return run, file


def train_offline(folder, *overrides):
    """(exit code, run directory, the one W&B file of the run)."""
    exit_code, run = train(folder, "logger.wandb.mode=offline", *overrides)
    (file,) = wandb_files(run)
    return exit_code, run, file


def test_without_credentials_the_run_is_kept_offline_and_whole(whole):
    run, file = whole
    record = json.loads((run / "run.json").read_text())
    assert record["wandb"]["mode"] == "offline"
    assert file.run.run_id == record["wandb"]["id"]
    assert (file.run.project, file.run.run_group) == ("charlab", "names")
    assert (file.run.display_name, list(file.run.tags)) == (run.name, ["a", "b"])
    assert file.run.job_type == "train"
    assert file.config["model"]["hidden_size"] == 16
    assert file.exit_code == 0
    local = rows(run / "metrics.jsonl")
    for name in ("train/bpc", "val/bpc", "test/bpc", "baseline/ngram5_bpc"):
        assert [(row[STEP], row[name]) for row in file.history if name in row] == [
            (row["step"], pytest.approx(row[name])) for row in local if name in row
        ]
    # a table of samples every 15 steps and after each validation
    assert sorted(row[STEP] for row in file.history if "samples._type" in row) == [10, 15, 20, 30]
    check_axes(file, local)
    check_facts(file.config["record"], record)
    check_summary(file.summary, local, record["scores"])


@pytest.mark.parametrize(("asked", "reports"), [(None, False), ("true", True)])
def test_it_reports_nothing_about_itself_unless_asked(monkeypatch, asked, reports):
    monkeypatch.delenv("WANDB_ERROR_REPORTING", raising=False)
    if asked is not None:
        monkeypatch.setenv("WANDB_ERROR_REPORTING", asked)
    use_own_service()
    assert error_reporting_enabled() == reports


def check_axes(file, local):
    """Every row has all three, as metrics.jsonl has them, and may be drawn against each."""
    assert all(row.keys() >= {STEP, CHARS_SEEN, SECONDS} for row in file.history)
    of_metrics = [row for row in file.history if not any(name.endswith("._type") for name in row)]
    assert [(row[STEP], row[CHARS_SEEN]) for row in of_metrics] == [
        (row["step"], row["chars_seen"]) for row in local
    ]
    assert [row[SECONDS] for row in of_metrics] == pytest.approx(
        [row["seconds"] for row in local], abs=0.5
    )
    assert {STEP, CHARS_SEEN, SECONDS, "*"} == file.metrics.keys()
    assert all(file.metrics[axis].step_metric == "" for axis in (STEP, CHARS_SEEN, SECONDS))
    assert file.metrics["*"].step_metric == STEP, "the x axis where nobody chooses one"


def check_facts(told, record):
    assert told["config_hash"] == record["config_hash"]
    assert told["git"] == record["git"]
    assert told["code"] == record["code"]
    assert told["data"]["fingerprint"] == record["data"]["fingerprint"]
    assert told["model"]["num_params"] == record["model"]["num_params"]
    assert told["hardware"]["cpu_cores"] == record["hardware"]["cpu_cores"]
    assert told["device"] == "cpu"
    assert "command" not in told
    assert "path" not in told["data"]


def check_summary(summary, local, scores):
    """best/* is of the checkpoint that was tested, final/* of the last step."""
    validations = [row for row in local if "val/bpc" in row]
    best = min(validations, key=lambda row: row["val/bpc"])
    assert (summary["best/step"], summary["best/val/bpc"]) == (best["step"], best["val/bpc"])
    assert summary["best/test/bpc"] == summary["test/bpc"] == scores["test/bpc"]
    assert summary["final/step"] == local[-1]["step"]
    assert summary["final/val/bpc"] == validations[-1]["val/bpc"]
    assert summary["final/train/bpc"] == [r for r in local if "train/bpc" in r][-1]["train/bpc"]
    assert summary["final/chars_seen"] == local[-1]["chars_seen"]
    # a number, as sweeps of W&B can take no other
    assert summary["val/bpc"] == validations[-1]["val/bpc"]


def test_the_summary_tells_the_best_from_the_last(tmp_path, no_credentials):
    """A learning rate that rises, so that the last validation is not the best."""
    _, run, file = train_offline(
        tmp_path,
        "scheduler=constant",
        "optimizer.lr=1",
        "trainer.val_every_n_steps=3",
        "trainer.max_steps=12",
        "callbacks.divergence.enabled=false",
    )
    local = rows(run / "metrics.jsonl")
    bpc = [row["val/bpc"] for row in local if "val/bpc" in row]
    assert min(bpc) < bpc[-1], "the test needs a run that gets worse"
    check_summary(file.summary, local, json.loads((run / "run.json").read_text())["scores"])


def test_a_failed_run_is_failed_and_has_its_best_so_far(tmp_path, no_credentials):
    exit_code, _, file = train_offline(tmp_path, "optimizer.lr=1e30", "trainer.gradient_clip=0")
    assert exit_code == 3
    assert file.exit_code == 1
    assert not file.preempting


# --------------------------------------------------------------------------------------- histograms
def test_histograms_are_those_of_the_tensors(whole):
    run, file = whole
    found = [row for row in file.history if "parameters/head.bias._type" in row]
    assert [row[STEP] for row in found] == [10, 20, 30]
    assert all(row.keys() >= {STEP, CHARS_SEEN, SECONDS} for row in found)
    weights = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    names = {name.removeprefix("model."): w for name, w in weights.items() if "model." in name}
    assert {"embedding.weight", "head.bias"} < names.keys()
    for name, weight in names.items():
        counts, edges = np.histogram(weight.double().numpy(), bins=64)
        assert found[-1][f"parameters/{name}.values"] == counts.tolist()
        assert found[-1][f"parameters/{name}.bins"] == edges.tolist()
        assert sum(found[-1][f"gradients/{name}.values"]) == weight.numel()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["gradients", "parameters"])
def test_histograms_of_one_kind_are_without_the_other(tmp_path, no_credentials, what):
    chosen = (f"logger.wandb.histograms={what}", "logger.wandb.histograms_every_n_steps=20")
    _, _, file = train_offline(tmp_path, *chosen)
    kinds = [
        {name.partition("/")[0] for name in row if name.startswith(("gradients", "parameters"))}
        for row in file.history
    ]
    assert [kind for kind in kinds if kind] == [{what}]


def test_a_histogram_leaves_out_what_is_not_finite():
    counts, edges = histogram(torch.tensor([1.0, math.nan, 3.0, math.inf, 2.0]))
    assert counts.sum() == 3
    assert (edges[0], edges[-1]) == (1.0, 3.0)
    assert histogram(torch.tensor([math.nan]))[0].sum() == 0


def test_histograms_do_not_touch_the_training_nor_a_resumed_one(tmp_path):
    """Not by a bit; the callback works with W&B disabled too, and sends to nobody."""
    for folder in (tmp_path / "plain", tmp_path / "cut"):
        folder.mkdir()
    _, plain = train(tmp_path / "plain")
    blow = Blow("charlab.callbacks.histograms:Histograms.on_train_batch_end", 17)
    options = (*HISTOGRAMS, "callbacks.checkpoint.every_n_steps=5")
    assert train_in_fork(tmp_path / "cut", *options, blow=blow) == 128 + blow.signum
    assert train_in_fork(tmp_path / "cut", *options) == 0
    (record,) = (tmp_path / "cut").glob("runs/*/*/run.json")
    assert len(json.loads(record.read_text())["resumed"]) == 1
    assert list(differences(results(plain), results(record.parent))) == []


# --------------------------------------------------------------------------- artifacts and images
def test_the_best_checkpoint_is_an_artifact_on_request(whole):
    run, file = whole
    (artifact,) = (one for one in file.artifacts if one.type == "model")
    record = json.loads((run / "run.json").read_text())
    assert (artifact.name, sorted(artifact.aliases)) == (run.name, ["best", "latest"])
    told = json.loads(artifact.metadata)
    assert told["val/bpc"] == record["scores"]["val/bpc"]
    assert told["step"] == record["scores"]["best_step"]
    assert told["config_hash"] == record["config_hash"]
    (entry,) = artifact.manifest.contents
    assert Path(entry.local_path) == run / "checkpoints" / "best.ckpt"


class Experiment:
    """Takes what a wandb.Run takes; `error` is raised instead."""

    def __init__(self, error=None):
        self.error = error
        self.rows = []
        self.exit_code = None
        self.summary = {}
        self.defined = []

    def define_metric(self, name, **options):
        self.defined.append(name)

    def log(self, row):
        if self.error is not None:
            raise self.error
        self.rows.append(row)

    def finish(self, exit_code):
        self.exit_code = exit_code


def run_stand_in(folder):
    return types.SimpleNamespace(path=folder, seconds=1.5, writes=True, record={}, num_resumed=0)


def test_images_are_logged_at_the_last_step(tmp_path, monkeypatch):
    Image.new("RGB", (4, 3)).save(tmp_path / "plot.png")
    experiment = Experiment()
    monkeypatch.setattr(Tracking, "_begin", lambda self: experiment)
    tracking = Tracking(WandbConfig(mode="offline"), run_stand_in(tmp_path))
    tracking.logger.log_metrics({"train/bpc": 2.0}, step=7)
    tracking.show_images({"curves": tmp_path / "plot.png"})
    (row,) = experiment.rows[1:]
    assert (row[STEP], row["plots/curves"].image.width) == (7, 4)


# ------------------------------------------------------------------------------- what W&B may raise
def test_an_error_of_wandb_is_told_once_and_the_rest_is_sent(tmp_path, capsys):
    experiment = Experiment(ValueError("too\nlong"))
    copy = RunCopy(experiment, "charlab", run_stand_in(tmp_path))
    copy.log_metrics({"a": 1}, step=1)
    copy.log_metrics({"a": 2}, step=2)
    experiment.error = None
    copy.log_metrics({"a": 3}, step=3)
    copy.finish(0, 1.0, goes_on=False)
    assert [row["a"] for row in experiment.rows] == [3]
    assert experiment.exit_code == 0
    told = capsys.readouterr().err
    assert told.count("note: W&B did not take all that was logged (too long)") == 1
    assert "the run directory has everything" in told


def test_nothing_more_is_sent_when_the_process_of_wandb_is_lost(tmp_path, capsys):
    experiment = Experiment(ConnectionResetError("Connection lost"))
    copy = RunCopy(experiment, "charlab", run_stand_in(tmp_path))
    copy.log_metrics({"a": 1}, step=1)
    experiment.error = None
    copy.log_metrics({"a": 2}, step=2)
    copy.finish(0, 1.0, goes_on=False)
    assert experiment.rows == []
    assert experiment.exit_code is None
    told = capsys.readouterr().err
    assert told.count("note: W&B's process has ended, and gets no more (Connection lost)") == 1


def test_a_service_that_does_not_end_is_killed_and_forgotten(tmp_path, capfd):
    """Its exit code, which W&B would make that of our process, is nobody's."""
    experiment = wandb.init(project="p", dir=str(tmp_path), mode="offline")
    copy = RunCopy(experiment, "charlab", run_stand_in(tmp_path))
    ended = threading.Event()
    experiment.finish = lambda exit_code: ended.wait(10)
    copy.finish(0, timeout_s=0.1, goes_on=False)
    ended.set()
    assert "note: W&B's server has not taken all (it does not answer)" in capfd.readouterr().err
    wandb.setup()  # another one begins as if nothing had been


@pytest.mark.parametrize("asked", ["auto", "offline"])
def test_wandb_that_cannot_write_is_disabled_unless_it_was_asked_for(
    tmp_path, no_credentials, asked
):
    (tmp_path / "wandb").write_text("not a folder")
    run = run_stand_in(tmp_path)
    run.update = run.record.update
    if asked == "offline":
        with pytest.raises(UsageError, match=r"W&B could not be started: .*Not a directory"):
            Tracking(WandbConfig(mode=asked), run)
        return
    tracking = Tracking(WandbConfig(mode=asked), run)
    assert (tracking.mode, tracking.logger) == ("disabled", None)
    assert tracking.note.startswith("W&B could not be started: ")
    assert run.record["wandb"]["mode"] == "disabled"
    tracking.samples_table([{"text": "a"}], 1)
    tracking.finish(0)


def test_what_wandb_cannot_make_of_a_value_is_told_and_not_raised(tmp_path, monkeypatch, capsys):
    experiment = Experiment()
    monkeypatch.setattr(Tracking, "_begin", lambda self: experiment)
    tracking = Tracking(WandbConfig(mode="offline"), run_stand_in(tmp_path))
    edges = np.arange(1001.0)  # more bins than W&B takes
    tracking.show_histograms({"h": (np.ones(1000), edges)}, 1)
    tracking.samples_table([{"text": "a"}, {"text": 1}], 1)  # a column of two types
    tracking.finish(0)
    assert experiment.rows == []
    assert capsys.readouterr().err.count("note: W&B did not take all that was logged") == 1


def test_a_run_has_a_process_of_wandb_for_itself(tmp_path, no_credentials, monkeypatch):
    """Not that of the program that started ours, which is named in a variable."""
    wandb.teardown()
    monkeypatch.setenv("WANDB_SERVICE", "3-1-tcp-localhost-1")
    run = run_stand_in(tmp_path)
    run.update = run.record.update
    tracking = Tracking(WandbConfig(mode="offline"), run)
    tracking.finish(0)
    assert wandb_files(tmp_path)[0].exit_code == 0


# ---------------------------------------------------------------------------------------- the mode
@pytest.mark.parametrize("wanted", ["online", "offline", "disabled"])
def test_wandb_mode_of_the_environment_decides_for_auto(monkeypatch, wanted):
    monkeypatch.setenv("WANDB_MODE", wanted)
    monkeypatch.setattr(mode, "has_credentials", lambda: True)
    assert resolve_mode("auto") == wanted
    assert resolve_mode("disabled") == "disabled"


def test_a_run_that_went_on_offline_stays_so_unless_it_is_told_otherwise(monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(mode, "has_credentials", lambda: True)
    assert resolve_mode("auto", None) == resolve_mode("auto", "online") == "online"
    assert resolve_mode("auto", "offline") == "offline"
    assert resolve_mode("online", "offline") == "online"


def test_online_without_credentials_is_told_before_there_is_a_run(tmp_path, no_credentials, capsys):
    assert train(tmp_path, "logger.wandb.mode=online") == (2, None)
    assert "W&B cannot be online without credentials" in capsys.readouterr().err


def test_a_misspelt_wandb_mode_is_told(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "ofline")
    with pytest.raises(UsageError, match="WANDB_MODE=ofline is not a mode"):
        resolve_mode("auto")
