"""The real train.py in two processes: one run, and the sums and weights of one process."""

import json

import pytest
import torch

from charlab import cli

from .jobs import Job
from .running import rows, train, write_names

# so that what is summed in another order differs by less than anything that could be wrong
EXACT = ("trainer.precision=64-true", "model.dropout=0")


def same(value, other):
    return value == pytest.approx(other, rel=1e-9, abs=1e-12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With an even number of names to train on: no rank has to see one twice."""
    folder = tmp_path_factory.mktemp("two")
    names = write_names(folder)
    names.write_text("".join(f"{line}\n" for line in names.read_text().split()[:300]))
    return folder


@pytest.fixture(scope="module")
def two(folder):
    """(run directory, stdout, stderr) of two processes, W&B offline."""
    home = {"HOME": str(folder), "NETRC": str(folder / "netrc"), "WANDB_API_KEY": ""}
    overrides = ("trainer=ddp", "logger.wandb.mode=offline", "logger.csv.enabled=true", "group=two")
    job = Job(folder, *overrides, *EXACT, **home)
    exit_code, out, err = job.end()
    assert exit_code == 0, err
    assert job.left() == []
    return job.run, out, err


@pytest.fixture(scope="module")
def one(folder, two):
    """The run directory of one process with the rows of both."""
    exit_code, run = train(folder, "data.batch_size=32", "group=one", *EXACT)
    assert exit_code == 0
    return run


def test_two_processes_are_one_run(two):
    run, out, err = two
    assert err == ""
    assert out.count("test score") == 1
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["num_processes"]) == ("finished", 2)
    assert record["wandb"]["mode"] == "offline"
    assert len(list(run.glob("wandb/offline-run-*"))) == 1
    assert len((run / "csv" / "metrics.csv").read_text().splitlines()) > 1
    assert record["samples"]["num_samples"] == 5000
    assert not list(run.glob("*.log"))


def test_each_row_is_there_once_and_that_of_one_process(two, one):
    metrics = [rows(run / "metrics.jsonl") for run in (two[0], one)]
    assert [row["step"] for row in metrics[0] if "train/loss" in row] == [5, 10, 15, 20, 25, 30]
    assert [row["step"] for row in metrics[0] if "val/bpc" in row] == [10, 20, 30]
    assert [row["step"] for row in metrics[0] if "test/bpc" in row] == [30]
    assert len(metrics[0]) == len(metrics[1])
    for ours, theirs in zip(*metrics):
        assert ours.keys() == theirs.keys()
        for name in ours.keys() - {"seconds", "perf/chars_per_s", "perf/step_ms", "perf/epoch_s"}:
            assert same(ours[name], theirs[name]), name


def test_scores_and_characters_are_sums_over_both(two, one):
    ours, theirs = (json.loads((run / "run.json").read_text()) for run in (two[0], one))
    assert same(ours["scores"], theirs["scores"])
    assert ours["chars_seen"] == theirs["chars_seen"]


@pytest.mark.parametrize("name", ["best", "last"])
def test_weights_are_those_of_one_process_with_all_rows(two, one, name):
    """Over almost four epochs: the gradient is that of all rows, clipped when it is whole."""
    ours, theirs = (
        torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True) for run in (two[0], one)
    )
    assert ours["global_step"] == theirs["global_step"]
    for key, value in theirs["state_dict"].items():
        torch.testing.assert_close(ours["state_dict"][key], value, rtol=0, atol=1e-9)
    assert same(ours["charlab"]["scores"], theirs["charlab"]["scores"])


@pytest.mark.slow
def test_early_stopping_stops_all(tmp_path):
    patience = ("callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=50")
    job = Job(tmp_path, "trainer=ddp", "callbacks.early_stopping.enabled=true", *patience)
    assert job.end()[0] == 0
    validated = [row["step"] for row in rows(job.run / "metrics.jsonl") if "val/bpc" in row]
    assert validated == [10, 20]


@pytest.mark.slow
def test_a_sweep_over_the_number_of_processes(tmp_path):
    job = Job(tmp_path, "-m", "trainer=ddp", "trainer.devices=1,2", "trainer.accelerator=cpu")
    exit_code, out, err = job.end()
    assert exit_code == 0, err
    assert out.count("] finished devices=") == 2
    records = [json.loads(file.read_text()) for file in job.runs.glob("*/*/run.json")]
    assert sorted(record["num_processes"] for record in records) == [1, 2]
    assert {record["status"] for record in records} == {"finished"}
    by_size = {record["num_processes"]: record["chars_seen"] for record in records}
    assert by_size[2] == pytest.approx(2 * by_size[1], rel=0.1)


@pytest.mark.slow
def test_processes_that_cannot_share_evenly_score_each_name_once(tmp_path, capsys):
    """30 names in batches of 16 for 4 processes, and 241 to train on."""
    job = Job(tmp_path, "trainer=ddp", "trainer.devices=4", *EXACT)
    assert job.end()[0] == 0
    assert cli.run(["eval", str(job.run), "--json", "--split=val"]) == 0
    told = json.loads(capsys.readouterr().out)
    for name in ("val/bpc", "val/nats_per_name"):  # there in float32
        assert told[name] == pytest.approx(job.record()["scores"][name], rel=1e-6)


@pytest.mark.slow
def test_lanes_of_two_processes_are_those_of_one_with_all(tmp_path):
    """With carried states, their resets, and an evaluation in 8 lanes that 2 processes share."""
    text = tmp_path / "text.txt"
    text.write_text("".join(f"{number} is {number * number % 9973}.\n" for number in range(9000)))
    stream = (
        "data=text",
        f"data.path={text}",
        "data.seq_len=20",
        "data.reset_prob=0.2",
        "data.eval_lanes=8",
        "data.val_bytes=3001",
        "data.test_bytes=3001",
        "trainer.max_steps=30",
        "trainer.val_every_n_steps=10",
        *EXACT,
    )
    runs = []
    for name, devices, rows_each in (("one", 1, 16), ("two", 2, 8)):
        group = (f"group={name}", f"trainer.devices={devices}", f"data.batch_size={rows_each}")
        job = Job(tmp_path / name, *stream, *group, "trainer.accelerator=cpu")
        assert job.end()[0] == 0
        runs.append(job.run)
    ours, theirs = (json.loads((run / "run.json").read_text()) for run in runs)
    assert same(ours["scores"], theirs["scores"])
    assert ours["chars_seen"] == theirs["chars_seen"] == 30 * 16 * 20
    weights = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in runs]
    for key, value in weights[0]["state_dict"].items():
        torch.testing.assert_close(weights[1]["state_dict"][key], value, rtol=0, atol=1e-9)
