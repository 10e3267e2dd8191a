"""`charlab resume RUN trainer.max_steps=N`: a run that is over, or not yet, trains for longer."""

import json

import pytest
from omegaconf import OmegaConf

from charlab import cli
from charlab.checkpoint import read_checkpoint, write_checkpoint
from charlab.found import find_run
from charlab.optim import lr_factor
from charlab.run_config import config_of_run
from charlab.run_names import config_hash
from charlab.runs import read_record

from .killing import Blow, differences, metrics, results
from .running import rows, train
from .test_resume import STEP, TERM, go, only_run

# a rate that does not know how long the run is
CONSTANT = ("scheduler=constant", "model.dropout=0.3")


def extend(run, *overrides):
    return cli.run(["resume", str(run), *overrides])


def comparable(run):
    """Results without what the end of the first budget has left besides."""
    found = results(run)
    found["metrics"] = [
        row for row in metrics(run) if not (row["step"] == 20 and "epoch/loss" in row)
    ]
    found["samples"] = [row for row in found["samples"] if row["step"] != 20]
    return found


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """40 steps at once: 16 an epoch, so neither budget ends with one."""
    folder = tmp_path_factory.mktemp("long")
    assert train(folder, *CONSTANT, "trainer.max_steps=40")[0] == 0
    return only_run(folder)


def test_a_run_that_is_extended_is_to_the_bit_one_of_that_length(tmp_path, long):
    """Inside an epoch, whose mean is over all of it again."""
    assert train(tmp_path, *CONSTANT, "trainer.max_steps=20")[0] == 0
    run = only_run(tmp_path)
    first = read_record(run)
    assert extend(run, "trainer.max_steps=40") == 0
    assert list(differences(comparable(long), comparable(run))) == []
    (entry,) = read_record(run)["extended"]
    assert entry.pop("at")
    assert entry == {
        "from_step": 20,
        "budget": {"max_steps": 20, "max_epochs": 16},
        "config_hash": first["config_hash"],
        "scores": first["scores"],
        "train_s": first["train_s"],
    }
    record = read_record(run)
    assert (record["status"], record["total_steps"], record["num_steps"]) == ("finished", 40, 40)
    assert record["budget"] == {"max_steps": 40, "max_epochs": None}
    assert [row["step"] for row in rows(run / "metrics.jsonl") if "test/bpc" in row] == [40]


def test_what_was_asked_for_first_is_not_done_any_more(tmp_path):
    """The directory has its name still, but is of the longer run."""
    assert train(tmp_path, "trainer.max_steps=10", "--once")[0] == 0
    run = only_run(tmp_path)
    assert extend(run, "trainer.max_steps=12") == 0
    own = OmegaConf.to_container(config_of_run(run, ()))
    assert own["trainer"]["max_steps"] == 12
    assert read_record(run)["config_hash"] == config_hash(own)
    assert find_run(run.parent, run.name) is None
    code, again = train(tmp_path, "trainer.max_steps=10", "--once")
    assert (code, again.name) == (0, f"{run.name}-2")
    assert find_run(run.parent, run.name).path == again


def test_epochs_can_be_added(tmp_path, capsys):
    assert train(tmp_path, "trainer.max_steps=null", "trainer.max_epochs=1")[0] == 0
    run = only_run(tmp_path)
    capsys.readouterr()
    assert extend(run, "trainer.max_epochs=2") == 0
    out = capsys.readouterr().out.replace("\n", " ").replace("  ", " ")
    assert "extended to 32 steps: from here on its learning rate is that of" in out
    # another cell is to have the budget that the run has by now
    assert "trainer.max_steps=null trainer.max_epochs=2 model=custom_gru" in out
    assert "trainer.max_epochs=1" not in out
    epochs = [row["step"] for row in rows(run / "metrics.jsonl") if "epoch/loss" in row]
    assert epochs == [16, 32]
    seconds = [row["perf/epoch_s"] for row in rows(run / "metrics.jsonl") if "epoch/loss" in row]
    # rounded to milliseconds
    assert sum(seconds) <= read_record(run)["train_s"] + 0.001
    # of two budgets the one that is not typed does not hold
    assert extend(run, "trainer.max_steps=33") == 0
    record = read_record(run)
    assert record["num_steps"] == 33
    assert [entry["budget"]["max_epochs"] for entry in record["extended"]] == [1, 2]


def test_the_learning_rate_is_that_of_the_new_length(tmp_path):
    logs = "trainer.log_every_n_steps=1"
    assert train(tmp_path, "trainer.max_steps=10", logs)[0] == 0
    run = only_run(tmp_path)
    assert extend(run, "trainer.max_steps=40") == 0
    rates = {
        row["step"]: row["optim/lr"] for row in rows(run / "metrics.jsonl") if "optim/lr" in row
    }
    config = OmegaConf.to_object(config_of_run(run, ()))
    for step, rate in rates.items():
        total = 10 if step <= 10 else 40
        # the rate of a step is that after the steps before it
        expected = config.optimizer.lr * lr_factor(config.scheduler, step - 1, total)
        assert rate == pytest.approx(expected), step
    assert len(rates) == 40
    assert rates[11] > 100 * rates[10]


def test_a_run_that_was_stopped_can_be_extended_too(tmp_path, long):
    assert (
        go(tmp_path, "names", *CONSTANT, "trainer.max_steps=25", blow=Blow(STEP, 14, TERM)) == 130
    )
    run = only_run(tmp_path)
    assert extend(run, "trainer.max_steps=40") == 0
    assert list(differences(results(long), results(run))) == []


def test_an_extension_that_is_killed_goes_on(tmp_path, long):
    assert train(tmp_path, *CONSTANT, "trainer.max_steps=20")[0] == 0
    run = only_run(tmp_path)
    # between the two files that say so
    before = read_record(run)
    own = OmegaConf.load(run / "config.yaml")
    own.trainer.max_steps = 40
    OmegaConf.save(own, run / "config.yaml")
    assert extend(run) == 0
    assert list(differences(comparable(long), comparable(run))) == []
    (entry,) = read_record(run)["extended"]
    assert entry["config_hash"] == before["config_hash"]


def test_an_extension_is_refused_where_it_adds_nothing(tmp_path, capsys):
    assert train(tmp_path, "trainer.max_steps=20")[0] == 0
    run = only_run(tmp_path)
    before = (run / "run.json").read_bytes(), (run / "config.yaml").read_bytes()
    refused = {
        "trainer.max_steps=20": "has finished: nothing is left of its budget",
        "trainer.max_steps=19": "more than the 20 steps that it has done",
        "trainer.max_epochs=1": "more than the 20 steps that it has done",
        "trainer.max_steps=null": "a run needs a budget",
    }
    for override, message in refused.items():
        assert extend(run, override) == 2, override
        assert message in capsys.readouterr().err
    assert extend(run) == 2
    assert f"charlab resume {run} trainer.max_steps=N, with N above 20" in capsys.readouterr().err
    assert before == ((run / "run.json").read_bytes(), (run / "config.yaml").read_bytes())


def test_what_early_stopping_has_ended_cannot_be_extended(tmp_path, capsys):
    assert go(tmp_path, "early") == 0
    run = only_run(tmp_path)
    assert extend(run, "trainer.max_steps=200") == 2
    told = capsys.readouterr().err
    assert "was ended by early stopping, not by its budget" in told
    assert f"{read_record(run)['num_steps']} of 100 steps" in told


def test_a_budget_of_a_run_that_was_stopped_can_only_grow(tmp_path, capsys):
    assert go(tmp_path, "names", "trainer.max_steps=25", blow=Blow(STEP, 14, TERM)) == 130
    run = only_run(tmp_path)
    assert extend(run, "trainer.max_steps=20") == 2
    assert "more than the 25 steps that it has done, or is to do" in capsys.readouterr().err
    assert read_record(run)["status"] == "preempted"


def test_without_a_checkpoint_nothing_is_taken_back(tmp_path, capsys):
    """What a finished run has come to is not thrown away for a run from the start."""
    assert train(tmp_path, "trainer.max_steps=10")[0] == 0
    run = only_run(tmp_path)
    (run / "checkpoints" / "last.ckpt").unlink()
    files = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert extend(run, "trainer.max_steps=20") == 2
    assert "has no checkpoint to go on from" in capsys.readouterr().err
    assert files == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_runs_of_before_there_were_extensions_go_on_but_not_for_longer(tmp_path, capsys):
    assert go(tmp_path, "names", "trainer.max_steps=25", blow=Blow(STEP, 14, TERM)) == 130
    run = only_run(tmp_path)
    record = read_record(run)
    del record["budget"]
    (run / "run.json").write_text(json.dumps(record))
    last = run / "checkpoints" / "last.ckpt"
    checkpoint = read_checkpoint(last)
    del checkpoint["training"]["total_steps"]
    write_checkpoint(checkpoint, last)
    assert extend(run, "trainer.max_steps=30") == 2
    assert "is of a charlab whose runs could not be extended" in capsys.readouterr().err
    assert extend(run) == 0
    assert read_record(run)["num_steps"] == 25
