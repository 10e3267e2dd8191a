"""One small run through the real train.py, and everything it leaves behind."""

import json
import math

import pytest
import torch
from omegaconf import OmegaConf

from charlab import cli, sample_quality
from charlab.config.schema_data import NamesConfig
from charlab.data.names import read_names
from charlab.restore import restore

from .running import rows, train

LN_2 = math.log(2)
ALL_SAMPLES = 5000  # as users get them; tests/conftest.py has fewer drawn


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def run(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_quality, "QUALITY_SAMPLES", ALL_SAMPLES)
        exit_code, path = train(folder, "logger.csv.enabled=true")
    assert exit_code == 0
    return path


def test_the_directory_holds_what_design_promises(run):
    assert run.parent.name == "names"
    assert run.name.startswith("gru-1xh16-s0-")
    for name in ("config.yaml", "overrides.txt", "run.json", "metrics.jsonl", "samples.jsonl"):
        assert (run / name).stat().st_size > 0
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        "best.ckpt",
        "last.ckpt",
    ]
    assert (run / "csv" / "metrics.csv").exists()
    assert OmegaConf.load(run / "config.yaml").model.hidden_size == 16
    assert "model.hidden_size=16" in (run / "overrides.txt").read_text().splitlines()


def test_run_json_says_how_it_went(run):
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["total_steps"] == 30
    assert record["data"]["num_train"] == 241
    assert record["model"]["hidden_size"] == 16
    assert record["started"] <= record["ended"]
    assert set(record["versions"]) >= {"torch", "pytorch-lightning", "python", "charlab"}
    assert record["samples"]["num_samples"] == ALL_SAMPLES
    assert sum(record["samples"]["lengths"]) == ALL_SAMPLES * record["samples"]["ended"]
    assert sum(record["data"]["lengths"]) == record["data"]["num_train"]
    # around three validations, and the best ones
    cost = record["checkpoints"]
    assert 6 <= cost["number"] <= 9
    assert 0 < cost["seconds"] < record["seconds"]
    assert cost["bytes"] == (run / "checkpoints" / "last.ckpt").stat().st_size
    assert (record["num_steps"], record["data"]["unit"]) == (30, "char")
    assert 100e6 < record["peak_memory_bytes"] < 10e9
    assert record["peak_device_memory_bytes"] is None
    assert record["scores"]["test/bpc"] == pytest.approx(record["scores"]["test/loss"] / LN_2)


def test_metrics_have_a_row_for_each_logged_step_and_validation(run):
    metrics = rows(run / "metrics.jsonl")
    trained = [row["step"] for row in metrics if "train/loss" in row]
    assert trained == [5, 10, 15, 20, 25, 30]
    assert [row["step"] for row in metrics if "val/bpc" in row] == [10, 20, 30]
    assert [row["step"] for row in metrics if "test/bpc" in row] == [30]
    (baseline,) = [row for row in metrics if "baseline/ngram5_bpc" in row]
    floors = json.loads((run / "run.json").read_text())["data"]["floors"]
    assert list(floors) == [f"{order}-gram" for order in range(1, 6)]
    for order in range(1, 6):
        assert baseline[f"baseline/ngram{order}_bpc"] == floors[f"{order}-gram"]["test_bpc"]
    seconds = [row["seconds"] for row in metrics]
    assert seconds == sorted(seconds)


def test_chars_seen_counts_the_targets_of_the_batches(run, folder):
    corpus = read_names(NamesConfig(name="names", path=str(folder / "names.txt")))
    per_epoch = sum(len(name) + 1 for name in corpus.train)
    steps_per_epoch = math.ceil(len(corpus.train) / 16)
    assert steps_per_epoch == 16
    by_step = {row["step"]: row for row in rows(run / "metrics.jsonl") if "train/loss" in row}
    # 30 steps are 1 epoch and 14 batches: the two missing batches have 16 names and 1
    assert per_epoch < by_step[30]["chars_seen"] < 2 * per_epoch
    assert by_step[30]["progress/chars_seen"] == by_step[30]["chars_seen"]


def test_the_test_score_is_that_of_the_best_checkpoint(run, folder):
    restored = restore(run)
    corpus = read_names(NamesConfig(name="names", path=str(folder / "names.txt")))
    vocabulary, nats, num_targets = restored.vocabulary, 0.0, 0
    with torch.inference_mode():
        for name in corpus.test:  # one name at a time: no padding, no batches
            ids = [vocabulary.BOS, *vocabulary.encode(name), vocabulary.EOS]
            logits, _ = restored.model(
                torch.tensor(ids[:-1])[:, None], restored.model.initial_state(1)
            )
            chosen = logits[:, 0].double().log_softmax(-1)[range(len(ids) - 1), ids[1:]]
            nats -= float(chosen.sum())
            num_targets += len(ids) - 1
    scores = json.loads((run / "run.json").read_text())["scores"]
    assert scores["test/loss"] == pytest.approx(nats / num_targets, rel=1e-6)
    assert scores["test/nats_per_name"] == pytest.approx(nats / len(corpus.test), rel=1e-6)


def test_best_is_the_lowest_validation(run):
    validations = {r["step"]: r["val/bpc"] for r in rows(run / "metrics.jsonl") if "val/bpc" in r}
    scores = json.loads((run / "run.json").read_text())["scores"]
    assert scores["val/bpc"] == min(validations.values())
    assert validations[scores["best_step"]] == scores["val/bpc"]


def test_eval_repeats_the_score_from_the_directory_alone(run, capsys, monkeypatch):
    monkeypatch.setattr(sample_quality, "QUALITY_SAMPLES", ALL_SAMPLES)
    assert cli.run(["eval", str(run), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    record = json.loads((run / "run.json").read_text())
    assert told["test/bpc"] == record["scores"]["test/bpc"]
    assert told["samples"] == record["samples"]


def test_eval_does_not_depend_on_the_batch_size(run, capsys):
    scores = []
    for size in (1, 7, 64):
        assert cli.run(["eval", str(run), "--json", "--split=val", f"data.batch_size={size}"]) == 0
        scores.append(json.loads(capsys.readouterr().out)["val/bpc"])
    assert scores == pytest.approx([scores[0]] * 3, rel=1e-6)


def test_eval_shows_a_table_with_the_floors(run, capsys):
    assert cli.run(["eval", str(run)]) == 0
    told = capsys.readouterr().out
    for words in ("test score", "bits/char", "5-gram", "unique", "nats/name"):
        assert words in told


def test_eval_refuses_other_data(run, tmp_path, capsys):
    other = tmp_path / "other.txt"
    other.write_text("\n".join(f"name{i}" for i in range(50)))
    assert cli.run(["eval", str(run), f"data.path={other}"]) == 2
    told = capsys.readouterr().err
    assert "the data are not those that the run was trained on" in told
    assert "fingerprint" in told


def test_samples_of_the_command_line_are_texts_a_line(run, capsys):
    assert cli.run(["sample", str(run), "-n", "4", "--prompt", " Bo", "--prompt", "ka"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert all(line.startswith("Bo") for line in lines[:4])
    assert all(line.startswith("ka") for line in lines[4:])
    assert cli.run(["sample", str(run), "-n", "4", "--prompt", " Bo", "--prompt", "ka"]) == 0
    assert capsys.readouterr().out.splitlines() == lines
    assert cli.run(["sample", str(run), "-n", "8", "--seed", "1", "-p", "Bo"]) == 0
    assert capsys.readouterr().out.splitlines()[:4] != lines[:4]


def test_a_prompt_with_a_strange_character_is_read_with_a_note(run, capsys):
    assert cli.run(["sample", str(run), "-n", "1", "--prompt", "日ka", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["prompt"] == "日ka"
    assert "'日' does not occur in the training data" in err


def test_samples_jsonl_has_each_draw_once(run):
    drawn = rows(run / "samples.jsonl")
    assert set(drawn[0]) == {"step", "prompt", "temperature", "text", "ended"}
    # every 15 steps and after each validation, 2 prompts x 2 temperatures x 2 samples
    steps = [10, 15, 20, 30]
    assert [row["step"] for row in drawn] == [step for step in steps for _ in range(8)]


def test_the_checkpoint_holds_plain_containers_only(run):
    for name in ("best", "last"):
        checkpoint = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)
        assert checkpoint["charlab"]["config"]["model"]["cell"] == "gru"
        symbols = checkpoint["charlab"]["vocabulary"]["symbols"]
        assert symbols[:4] == ["<pad>", "<bos>", "<eos>", "<unk>"]


def test_the_same_configuration_again_is_the_same_run_beside_it(run, folder):
    exit_code, again = train(folder, "logger.csv.enabled=true")
    assert exit_code == 0
    assert again.name == f"{run.name}-2"
    values = [
        [
            {k: v for k, v in row.items() if not k.startswith(("perf/", "seconds"))}
            for row in rows(path / "metrics.jsonl")
        ]
        for path in (run, again)
    ]
    assert values[0] == values[1]
    assert rows(run / "samples.jsonl") == rows(again / "samples.jsonl")


def test_another_seed_is_another_run(run, folder):
    exit_code, other = train(folder, "logger.csv.enabled=true", "seed=1")
    assert exit_code == 0
    assert "-s1-" in other.name
    assert (
        rows(other / "metrics.jsonl")[1]["train/loss"]
        != rows(run / "metrics.jsonl")[1]["train/loss"]
    )


def test_training_is_bit_identical_with_and_without_samples(folder, run):
    exit_code, silent = train(
        folder, "logger.csv.enabled=true", "callbacks.samples.enabled=false", "model.dropout=0.3"
    )
    assert exit_code == 0
    exit_code, sampled = train(
        folder, "logger.csv.enabled=true", "callbacks.samples.every_n_steps=1", "model.dropout=0.3"
    )
    assert exit_code == 0
    assert not (silent / "samples.jsonl").exists()
    weights = [
        torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for path in (silent, sampled)
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
