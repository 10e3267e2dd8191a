"""A run that is stopped anywhere, and goes on: to the bit what it is without the stop."""

import json
import signal
import time

import pytest

from charlab.runs import read_record

from .jobs import Job
from .killing import Blow, differences, results, train_in_fork
from .running import STREAM, rows
from .test_stream_runs import write_text

STEP = "charlab.lit:CharLitModule.training_step"
VAL = "charlab.lit:CharLitModule.validation_step"
TEST = "charlab.lit:CharLitModule.test_step"
EPOCH_END = "charlab.callbacks.epoch_log:EpochLog.on_train_epoch_end"
DIAGNOSTICS = "charlab.callbacks.diagnostics:DiagnosticsLog.on_validation_end"
SAMPLES = "charlab.callbacks.samples:Samples._draw"
WRITE = "charlab.trainer:write_checkpoint"
FSYNC = "charlab.checkpoint:os.fsync"
SYNC_FOLDER = "charlab.checkpoint:sync_folder"
QUALITY = "charlab.sample_quality:sample_quality"
TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
USR1, USR2 = signal.SIGUSR1, signal.SIGUSR2

DROPOUT = ("model.dropout=0.3", "callbacks.checkpoint.every_n_steps=4")
SAVED_STREAM = (*STREAM, "callbacks.checkpoint.every_n_steps=3")
DIAGNOSED = (
    "callbacks.diagnostics.enabled=true",
    "callbacks.diagnostics.every_n_steps=15",
    "callbacks.checkpoint.every_n_steps=7",
)
# by name: the overrides of a run of 30 steps of which each tenth is validated, unless it says so
RUNS = {
    "names": (),
    "dropout": DROPOUT,
    "stream": (*SAVED_STREAM, "model=lstm", "model.dropout=0.2"),
    "engine": (*SAVED_STREAM, "model=custom_gru", "model.num_layers=2"),
    "diagnosed": ("model.dropout=0.3", "model=custom_lstm", *DIAGNOSED),
    "windows": (*SAVED_STREAM, "data.stateful=false", "optimizer=adam", "scheduler=cosine"),
    # 16 steps an epoch, and a last one that is cut short
    "epochs": ("trainer.max_steps=40", "trainer.max_epochs=7", "trainer.val_every_n_steps=null"),
    "every": ("trainer.val_every_n_steps=1", "trainer.max_steps=6", "trainer.precision=bf16-mixed"),
    "early": (
        "callbacks.early_stopping.enabled=true",
        "callbacks.early_stopping.patience=1",
        "callbacks.early_stopping.min_delta=50",
        "trainer.max_steps=100",
    ),
}


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a run by name leaves when nothing stops it."""
    found = {}

    def get(name):
        if name not in found:
            folder = tmp_path_factory.mktemp(name)
            assert go(folder, name) == 0
            found[name] = results(only_run(folder))
        return found[name]

    return get


def go(folder, name, *overrides, blow=None):
    data = (f"data.path={write_text(folder)}",) if "data=text" in RUNS[name] else ()
    return train_in_fork(folder, *RUNS[name], *data, *overrides, blow=blow)


def only_run(folder):
    # a process that is killed as it makes a run leaves a draft, whose name begins with a dot
    (file,) = folder.glob("runs/*/[!.]*/run.json")
    return file.parent


def resumed_from(run):
    return [entry["from_step"] for entry in read_record(run)["resumed"]]


def survives(folder, whole, name, *blows):
    """The steps it went on from, after as many stops; all results are those of the whole run."""
    for blow in blows:
        code = go(folder, name, blow=blow)
        assert code == (137 if blow.signum == signal.SIGKILL else 130), blow
        record = read_record(only_run(folder))
        assert record["status"] == ("running" if code == 137 else "preempted")
    assert go(folder, name) == 0
    run = only_run(folder)
    assert list(differences(whole(name), results(run))) == []
    assert not (run / "claim.json").exists()
    return resumed_from(run)


# ------------------------------------------------------------------------------ nothing in between
@pytest.mark.parametrize("name", ["stream", slow("engine")])
def test_the_same_configuration_twice_is_the_same_to_the_bit(tmp_path, whole, name):
    assert go(tmp_path, name) == 0
    assert list(differences(whole(name), results(only_run(tmp_path)))) == []


# --------------------------------------------------------------------------------- killed anywhere
@pytest.mark.parametrize(
    ("name", "blows", "steps"),
    [
        # before there is a checkpoint
        ("names", [Blow(STEP, 1)], [0]),
        # twice and more in one epoch
        slow("dropout", [Blow(STEP, 7), Blow(STEP, 3), Blow(STEP, 6)], [4, 4, 9]),
        # around a validation: before its step, in it, after it
        slow("names", [Blow(STEP, 10)], [9]),
        slow("names", [Blow(VAL, 1), Blow(STEP, 3)], [9, 10]),
        # with a row of diagnostics to take back, and with one to keep
        slow("diagnosed", [Blow(DIAGNOSTICS, 1, after=True), Blow(STEP, 6)], [9, 14]),
        # around the end of an epoch
        slow("dropout", [Blow(STEP, 17)], [16]),
        # while a stream carries its state, and as its epoch ends
        ("stream", [Blow(STEP, 8), Blow(STEP, 3), Blow(STEP, 5)], [6, 6, 10]),
        slow("engine", [Blow(STEP, 15)], [12]),
        # in the last step, the last validation, the test, the samples at the end
        (
            "names",
            [Blow(STEP, 30), Blow(VAL, 2), Blow(TEST, 1), Blow(QUALITY, 1)],
            [29, 29, 30, 30],
        ),
        # as a checkpoint is written: before, without its bytes, not yet in its place, just there
        slow("dropout", [Blow(WRITE, 2)], [4]),
        ("dropout", [Blow(FSYNC, 7)], [4]),
        slow("dropout", [Blow(SYNC_FOLDER, 2)], [8]),
        # validation after epochs, and a cut one
        slow("epochs", [Blow(VAL, 2), Blow(STEP, 3)], [15, 16]),
        slow("epochs", [Blow(EPOCH_END, 1)], [15]),
        slow("early", [Blow(STEP, 13), Blow(TEST, 1)], [10, 20]),
    ],
)
def test_a_killed_run_goes_on_exactly(tmp_path, whole, name, blows, steps):
    assert survives(tmp_path, whole, name, *blows) == steps


@pytest.mark.parametrize(
    ("name", "blows", "steps"),
    [
        # the step is finished and saved, also where rows, samples and the end of an epoch follow it
        ("names", [Blow(STEP, 3, TERM), Blow(STEP, 2, INT), Blow(STEP, 9, HUP)], [3, 5, 14]),
        slow("stream", [Blow(STEP, 2, USR1), Blow(STEP, 5, USR2)], [2, 7]),
        slow("names", [Blow(STEP, 15, TERM)], [15]),
        slow("dropout", [Blow(STEP, 16, TERM)], [16]),
        # nothing waits for a validation
        slow("names", [Blow(STEP, 10, TERM)], [9]),
        slow("names", [Blow(VAL, 1, TERM)], [9]),
        slow("epochs", [Blow(STEP, 16, TERM)], [15]),
        # at the end
        ("names", [Blow(STEP, 30, TERM), Blow(TEST, 1, TERM), Blow(QUALITY, 1, INT)], [29, 30, 30]),
        slow("early", [Blow(VAL, 3, TERM)], [19]),
    ],
)
def test_a_run_that_a_signal_stops_goes_on_exactly(tmp_path, whole, name, blows, steps):
    assert survives(tmp_path, whole, name, *blows) == steps


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("signum", [signal.SIGKILL, TERM])
def test_each_step_may_be_the_last_one_of_a_process(tmp_path, whole, name, signum):
    """Each process does three steps, the last but one of which may be done again."""
    for _ in range(60):
        code = go(tmp_path, name, "callbacks.checkpoint.every_s=0", blow=Blow(STEP, 3, signum))
        if code == 0:
            break
    assert code == 0
    expected = dict(whole(name))
    found = results(only_run(tmp_path))
    assert len(resumed_from(only_run(tmp_path))) >= 2
    assert list(differences(expected, found)) == []


@pytest.mark.slow
@pytest.mark.parametrize("place", [VAL, SAMPLES, WRITE, FSYNC, SYNC_FOLDER, EPOCH_END])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", ["dropout", "stream", "epochs"])
def test_a_kill_within_anything_is_made_good(tmp_path, whole, name, place, after):
    for call in (1, 2, 3):
        code = go(tmp_path, name, blow=Blow(place, call, after=after))
        if code == 0:
            break
    assert code == 0 or go(tmp_path, name) == 0
    assert list(differences(whole(name), results(only_run(tmp_path)))) == []


# ------------------------------------------------------------------------------------ its record
def test_the_record_tells_of_the_interruption(tmp_path):
    assert go(tmp_path, "names", blow=Blow(STEP, 13, TERM)) == 130
    run = only_run(tmp_path)
    before = read_record(run)
    assert (before["status"], before["error"]) == ("preempted", "interrupted")
    assert f"to go on: charlab resume {run}" in (tmp_path / "log.txt").read_text()
    assert go(tmp_path, "names") == 0
    after = read_record(run)
    assert (after["status"], after["started"]) == ("finished", before["started"])
    assert "error" not in after
    (entry,) = after["resumed"]
    assert entry["from_step"] == 13
    assert f"goes on with {run.name} from step 13" in (tmp_path / "log.txt").read_text()
    seconds = [row["seconds"] for row in rows(run / "metrics.jsonl")]
    assert seconds == sorted(seconds)
    assert after["seconds"] >= seconds[-1]


def test_what_came_after_the_checkpoint_is_taken_back(tmp_path, whole):
    """Also half a row, a row of a test and samples with ends of lines that JSON leaves alone."""
    assert go(tmp_path, "names", blow=Blow(STEP, 14)) == 137
    run = only_run(tmp_path)
    for name, row in (("metrics", {"step": 12, "test/bpc": 1.0}), ("samples", {"step": 12})):
        with (run / f"{name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(
                json.dumps(row | {"text": "a\u2028\x85b"}, ensure_ascii=False) + '\n{"step": 1'
            )
    assert go(tmp_path, "names") == 0
    assert list(differences(whole("names"), results(run))) == []


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, whole):
    assert go(tmp_path, "dropout", blow=Blow(STEP, 14)) == 137
    last = only_run(tmp_path) / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-5000])
    assert go(tmp_path, "dropout") == 0
    assert list(differences(whole("dropout"), results(last.parents[1]))) == []
    assert resumed_from(last.parents[1]) == [10]
    log = (tmp_path / "log.txt").read_text()
    assert "last.ckpt is damaged: it does not end as it was written" in log


def test_without_checkpoints_it_starts_again(tmp_path):
    off = "callbacks.checkpoint.enabled=false"
    assert go(tmp_path, "names", off, blow=Blow(STEP, 14, TERM)) == 130
    run = only_run(tmp_path)
    assert list((run / "checkpoints").iterdir()) == []
    assert go(tmp_path, "names", off) == 0
    assert resumed_from(run) == [0]
    assert [r["step"] for r in rows(run / "metrics.jsonl") if "val/bpc" in r] == [10, 20, 30]


def test_data_that_have_changed_are_refused(tmp_path):
    assert go(tmp_path, "names", blow=Blow(STEP, 14, TERM)) == 130
    run = only_run(tmp_path)
    before = (run / "run.json").read_text(), (run / "metrics.jsonl").read_text()
    with (tmp_path / "names.txt").open("a") as names:
        names.write("Another\n")
    assert go(tmp_path, "names") == 2
    assert "the data are not those" in (tmp_path / "log.txt").read_text()
    assert ((run / "run.json").read_text(), (run / "metrics.jsonl").read_text()) == before
    assert not (run / "claim.json").exists()


# --------------------------------------------------------------------------------- whole processes
DDP = (
    "trainer=ddp",
    "trainer.accelerator=cpu",
    *SAVED_STREAM,
    "model.dropout=0.2",
    "trainer.max_steps=200",
    "trainer.val_every_n_steps=100",
)


def has_gone_on(run):
    """Whether rows are there of what a second process did."""
    steps = resumed_from(run) if "resumed" in read_record(run) else []
    return bool(steps) and rows(run / "metrics.jsonl")[-1]["step"] > steps[-1]


@pytest.mark.slow
@pytest.mark.parametrize("signums", [(TERM, INT), (signal.SIGKILL, TERM)])
def test_two_processes_go_on_exactly(tmp_path, signums):
    """Each has a state of its own to carry, and both have to stop at one step."""
    data = f"data.path={write_text(tmp_path)}"
    job = Job(tmp_path / "whole", *DDP, data)
    assert job.end()[0] == 0
    expected = results(job.run)
    for number, signum in enumerate(signums):
        job = Job(tmp_path / "cut", *DDP, data)
        job.wait_until_it_trains()
        while number and not has_gone_on(job.run):
            assert job.process.poll() is None
            time.sleep(0.05)
        job.process.send_signal(signum)
        code, _, err = job.end()
        assert code == (-9 if signum == signal.SIGKILL else 130), err
        assert job.left() == []
        assert read_record(job.run)["status"] == "preempted"
    job = Job(tmp_path / "cut", *DDP, data)
    assert job.end()[0] == 0
    assert list(differences(expected, results(job.run))) == []
    steps = resumed_from(job.run)
    assert len(steps) == 2
    assert steps[0] > 0


@pytest.mark.slow
def test_a_run_in_wandb_keeps_its_id(tmp_path):
    home = {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc"), "WANDB_API_KEY": ""}
    overrides = ("logger.wandb.mode=offline", "trainer.max_steps=3000")
    job = Job(tmp_path, *overrides, **home)
    job.wait_until_it_trains()
    job.process.send_signal(TERM)
    assert job.end()[0] == 130
    before = read_record(job.run)
    assert Job(tmp_path, *overrides, **home).end()[0] == 0
    after = read_record(job.run)
    assert after["wandb"] == before["wandb"]
    parts = sorted(path.name for path in job.run.glob("wandb/offline-run-*"))
    assert len(parts) == 2
    assert all(part.endswith(f"-{after['wandb']['id']}") for part in parts)
