"""Runs on a text by the real train.py: what is scored, recorded, restored."""

import json
import math

import pytest
import torch

from charlab import cli
from charlab.data.report import SilentReport
from charlab.rescore import rescore

from .running import rows, train

# a text of a few words in two scripts, of which the test split has one that train lacks
WORDS = ["the ", "cat ", "naïve ", "sat\n", "on ", "мат ", "a ", "mat.\n"]


def write_text(folder, num_words=6000):
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(0, len(WORDS), (num_words,), generator=generator).tolist()
    text = "".join(WORDS[index] for index in drawn)
    path = folder / "text.txt"
    path.write_bytes((text + "Ω end" * 4).encode())
    return path


def train_text(folder, *overrides):
    return train(
        folder,
        "data=text",
        f"data.path={write_text(folder)}",
        "data.seq_len=20",
        "data.eval_lanes=4",
        "data.eval_warmup=40",
        "callbacks.samples.max_length=30",
        *overrides,
    )


def losses(run):
    return [row["train/loss"] for row in rows(run / "metrics.jsonl") if "train/loss" in row]


@pytest.fixture(scope="module")
def chars_run(tmp_path_factory):
    exit_code, path = train_text(tmp_path_factory.mktemp("chars"), "data.symbols=chars")
    assert exit_code == 0
    return path


def test_a_run_on_characters_is_recorded_whole(chars_run):
    record = json.loads((chars_run / "run.json").read_text())
    data, scores = record["data"], record["scores"]
    text = write_text(chars_run.parents[2]).read_text()
    assert data["standard_split"] is True
    assert sum(data[f"num_{split}"] for split in ("train", "val", "test")) == len(text)
    assert data["num_symbols"] == len(set(text[: data["num_train"]])) + 1
    assert (
        data["num_unknown_targets"]
        == text[data["num_train"] :].count("Ω") + text[data["num_train"] :].count("d")
        == 8
    )
    test = text[-data["num_test"] :]
    assert scores["test/bits_per_byte"] == pytest.approx(
        scores["test/bpc"] * len(test) / len(test.encode())
    )
    assert scores["test/bpc"] == pytest.approx(scores["test/loss"] / math.log(2))
    assert record["samples"] is None
    assert losses(chars_run)[-1] < 0.9 * losses(chars_run)[0]
    first = rows(chars_run / "metrics.jsonl")[0]
    assert first["data/standard_split"] == 1.0
    assert {"baseline/ngram6_bpc", "baseline/xz_bpc"} <= set(first)


def test_eval_gives_the_recorded_score_in_any_lanes_and_windows(chars_run, capsys):
    scores = json.loads((chars_run / "run.json").read_text())["scores"]
    found = []
    for words in ([], ["--lanes", "1"], ["--lanes", "3", "--window", "7"]):
        assert cli.run(["eval", str(chars_run), "--json", *words]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0]["test/bpc"] == pytest.approx(scores["test/bpc"], abs=1e-6)
    for other in found[1:]:
        assert other["test/bpc"] == pytest.approx(scores["test/bpc"], abs=1e-3)
        assert other["samples"] is None


@pytest.mark.slow
def test_dynamic_evaluation_is_a_number_of_its_own(chars_run, capsys):
    plain = rescore(chars_run, ["data.eval_lanes=1"], "best", "val", None, SilentReport()).scores
    words = ["eval", str(chars_run), "--json", "--dynamic", "--lanes", "1", "--split", "val"]
    assert cli.run(words) == 0
    dynamic = json.loads(capsys.readouterr().out)
    assert dynamic["val/bpc"] == plain["val/bpc"]
    assert dynamic["val/dynamic_bpc"] < plain["val/bpc"]  # it was trained for moments
    assert cli.run([*words, "--dynamic-lr", "0", "--dynamic-decay", "0"]) == 0
    still = json.loads(capsys.readouterr().out)
    assert still["val/dynamic_bpc"] == pytest.approx(plain["val/bpc"], abs=1e-6)


def test_what_is_for_streams_is_refused_for_names(tmp_path, capsys):
    _, run = train(tmp_path, "trainer.max_steps=10")
    capsys.readouterr()
    for words in (["--dynamic"], ["--lanes", "2"], ["--window", "7"]):
        assert cli.run(["eval", str(run), *words]) == 2
        told = capsys.readouterr().err
        assert f"{words[0]} goes with one long text" in told
        assert "got       a run on data=names" in told
        assert f"try       charlab eval {run}\n" in told


def test_samples_continue_prompts_as_they_are(chars_run, capsys):
    assert cli.run(["sample", str(chars_run), "-p", "\n  the cat ", "-n", "2", "--json"]) == 0
    for line in capsys.readouterr().out.splitlines():
        assert json.loads(line)["text"].startswith("\n  the cat ")
    assert cli.run(["sample", str(chars_run), "-p", "xyz Ω", "-n", "1"]) == 0
    told = capsys.readouterr().err
    assert "'x' does not occur in the training data" in told
    assert "'Ω' does not occur" in told
    assert cli.run(["sample", str(chars_run), "-n", "2", "--max-length", "200"]) == 0
    first, second = capsys.readouterr().out.removeprefix("--- 1 of 2\n").split("\n--- 2 of 2\n")
    assert (len(first), len(second)) == (200, 201)  # with the end of its last line
    assert cli.run(["sample", str(chars_run), "-n", "1"]) == 0
    assert "--- " not in capsys.readouterr().out
    drawn = rows(chars_run / "samples.jsonl")
    assert {row["prompt"] for row in drawn} == {"", " Trump"}
    assert all(len(row["text"]) == len(row["prompt"]) + 30 for row in drawn)


@pytest.mark.parametrize("stateful", ["true", "false"])
def test_validation_inside_an_epoch_leaves_training_alone(tmp_path, stateful):
    runs = [
        train_text(tmp_path, f"data.stateful={stateful}", f"trainer.val_every_n_steps={every}")
        for every in (7, 30)
    ]
    assert [exit_code for exit_code, _ in runs] == [0, 0]
    assert losses(runs[0][1]) == losses(runs[1][1])


@pytest.mark.slow
def test_a_carried_state_is_worth_something_and_independent_windows_have_none(tmp_path):
    """The same network on the same text: with windows of two symbols a state is all it has."""
    carried, cut = (
        train_text(tmp_path, f"data.stateful={stateful}", "data.seq_len=2", "trainer.max_steps=400")
        for stateful in ("true", "false")
    )
    assert losses(carried[1])[-1] < losses(cut[1])[-1]


def test_the_notebooks_windows_predict_99_of_100(tmp_path):
    _, run = train_text(
        tmp_path,
        "data.stateful=false",
        "data.predict_across=false",
        "data.seq_len=100",
        "trainer.max_steps=5",
    )
    assert rows(run / "metrics.jsonl")[-1]["chars_seen"] == 5 * 16 * 99
    _, run = train_text(tmp_path, "data.stateful=false", "data.seq_len=100", "trainer.max_steps=5")
    assert rows(run / "metrics.jsonl")[-1]["chars_seen"] == 5 * 16 * 100


def test_a_part_of_enwik8_says_so_everywhere(tmp_path, capsys):
    text = write_text(tmp_path)
    part = ("data=enwik8", f"data.path={text}", "data.seq_len=20", "data.eval_warmup=40")
    assert train(tmp_path, *part)[0] == 2
    assert "is not enwik8" in capsys.readouterr().err
    exit_code, run = train(tmp_path, *part, "data.verify=false")
    assert exit_code == 0
    told = capsys.readouterr().out
    assert "not the published split" in told
    assert "no result of that corpus" in told
    record = json.loads((run / "run.json").read_text())
    assert record["data"]["standard_split"] is False
    assert record["scores"]["data/standard_split"] == 0.0
    assert rows(run / "metrics.jsonl")[0]["data/standard_split"] == 0.0


def test_bytes_that_are_said_are_held_out_of_a_part_of_enwik8(tmp_path, capsys):
    text = write_text(tmp_path)
    words = ["data", "enwik8", f"data.path={text}", "data.verify=false", "data.val_bytes=1000"]
    cache = f"paths.cache={tmp_path / 'cache'}"
    picture = ["-o", str(tmp_path / "picture.png")]
    assert cli.run([*words, "data.test_bytes=2000", cache, *picture]) == 0
    size = text.stat().st_size
    assert f"{size - 3000:,} / 1,000 / 2,000 bytes" in capsys.readouterr().out
    assert (tmp_path / "picture.png").exists()


def test_characters_that_train_lacks_are_told_of(tmp_path, capsys):
    _, run = train_text(tmp_path, "data.symbols=chars", "trainer.max_steps=5")
    assert "8 of " in (told := capsys.readouterr().out)
    assert "each is scored as unknown" in told
    record = json.loads((run / "run.json").read_text())
    assert record["data"]["num_unknown_test_targets"] == 8


def test_a_text_too_short_for_one_batch_is_told_before_anything_is_made(tmp_path, capsys):
    exit_code, run = train_text(tmp_path, "data.batch_size=4000", "data.seq_len=1000")
    assert (exit_code, run) == (2, None)
    told = capsys.readouterr().err
    assert "4000" in told.replace(",", "")
    assert "1000" in told.replace(",", "")


def test_bf16_mixed_trains_with_a_float32_state(tmp_path):
    scores = []
    for precision in ("bf16-mixed", "32-true"):
        _, run = train_text(tmp_path, f"trainer.precision={precision}")
        scores.append(json.loads((run / "run.json").read_text())["scores"]["test/bpc"])
    assert scores[0] == pytest.approx(scores[1], rel=0.02)
    assert scores[0] != scores[1]


def test_long_samples_come_at_their_own_steps(tmp_path):
    _, run = train_text(
        tmp_path,
        "trainer.val_every_n_steps=null",
        "callbacks.samples.every_n_steps=5",
        "callbacks.samples.long_every_n_steps=10",
        "callbacks.samples.long_max_length=50",
        "callbacks.samples.prompts=[a]",
        "data.vocabulary=own",
    )
    lengths = {row["step"]: len(row["text"]) - 1 for row in rows(run / "samples.jsonl")}
    # bytes are drawn: a character of two makes a text shorter
    assert all(
        lengths[step] <= limit and lengths[step] > limit / 2
        for step, limit in ((5, 30), (10, 50), (15, 30), (20, 50))
    )


def test_the_corpus_of_a_run_is_found_from_another_folder(tmp_path, monkeypatch, capsys):
    text = write_text(tmp_path)
    monkeypatch.chdir(tmp_path)
    _, run = train(tmp_path, "data=text", f"data.path={text.name}", "data.seq_len=20")
    monkeypatch.chdir(tmp_path.parent)
    assert cli.run(["eval", str(run)]) == 0
    with text.open("ab") as file:
        file.write(b"more")
    assert cli.run(["eval", str(run)]) == 2
    assert "not those that the run was trained on" in capsys.readouterr().err
