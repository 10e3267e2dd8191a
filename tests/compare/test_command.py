"""`charlab compare` as it is typed: what it prints, in terminals and pipes, and its exit codes."""

import csv
import io
import json
import math
import re
import shlex
import subprocess
import sys

import pytest
from rich.console import Console

from charlab import cli
from charlab.compare import command
from charlab.compare.compare import compare
from charlab.compare.table import show
from charlab.config.compose import Composer
from charlab.reading.find import read_runs

from ..run_directories import add_curves, make_run, make_runs
from ..running import ROOT

SCORES = {
    "gru": [3.280, 3.270, 3.290, 3.275],
    "lstm": [3.281, 3.279, 3.284, 3.280],
    "rnn": [3.43, 3.42, 3.44, 3.41],
}


@pytest.fixture
def runs(tmp_path):
    make_runs(tmp_path / "runs", SCORES)
    return tmp_path / "runs"


def told(capsys, *words):
    code = cli.run(["compare", *map(str, words)])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def in_terminal(folder, width, **options):
    """What a colour terminal shows, with its codes."""
    file = io.StringIO()
    screen = Console(
        file=file, width=width, force_terminal=True, color_system="standard", highlight=False
    )
    show(screen, compare(read_runs([str(folder)]), **options), ["compare", "--html", "report.html"])
    return file.getvalue()


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def row(text, label):
    """Of the first table, in words; sentences come after it."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [label])


def test_a_pipe_has_all_columns_in_full_and_no_colour(capsys, runs):
    code, out, err = told(capsys, runs)
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert "…" not in out
    (head,) = (line for line in out.splitlines() if line.startswith("variant"))
    first = ["variant", "n", "test", "sd", "95%", "interval", "val", "val", "sd", "val", "interval"]
    assert head.split() == [*first, "params", "state", "chars/s", "time", "memory", "remark"]
    found = row(out, "gru")
    assert found[1:4] == ["4", "3.279", "0.0085"]
    assert found[6] == "3.234"
    assert found[-6:] == ["74,621", "127", "35,672", "0:00:44", "485", "MiB"]
    ranked = [line.split()[0] for line in out.splitlines() if re.match(r"\S+ .*\d\.\d{3} ", line)]
    order = ["gru", "lstm", "4-gram", "rnn", "5-gram", "3-gram", "2-gram", "1-gram"]
    assert ranked[: len(order)] == order
    assert row(out, "4-gram")[-2:] == ["to", "beat"]
    assert row(out, "rnn")[-3:] == ["not", "trained", "yet"]


def test_what_follows_the_table_is_sentences_and_what_to_type_next(capsys, runs):
    _, out, _ = told(capsys, runs)
    lines = out.splitlines()
    (first,) = (line for line in lines if line.startswith("gru beats rnn by 0.146 bits/char ["))
    assert first.endswith("], 4 seeds")
    assert any(line.startswith("lstm beats rnn by 0.144 bits/char [") for line in lines)
    assert any(
        line.startswith("too close to call: gru and lstm differ by 0.002 [") for line in lines
    )
    assert any('"beats" holds for all 3 pairs at once (each at 98.3%)' in line for line in lines)
    assert lines[-1].endswith(f"charlab compare {runs} --html report.html")
    assert lines.index(next(line for line in lines if "beats rnn" in line)) > lines.index(
        next(line for line in lines if line.startswith("1-gram"))
    )


@pytest.mark.parametrize("width", [160, 100, 80, 60, 40])
def test_a_terminal_has_the_columns_that_fit_with_whole_numbers(runs, width):
    text = plain(in_terminal(runs, width))
    lines = text.splitlines()
    table = lines[lines.index(next(line for line in lines if line.startswith("variant"))) :][:9]
    assert max(map(len, table)) <= width
    assert not any("…" in line for line in table)
    assert row(text, "gru")[1 if width < 60 else 2] == "3.279"
    assert ("0:00:44" in text) == (width >= 100)
    assert ("485 MiB" in text) == (width >= 160)
    # sentences break between words, commands nowhere
    assert all(len(line) <= width for line in lines if not line.startswith("  "))
    assert any("--html report.html" in line for line in lines)


@pytest.mark.parametrize("width", [160, 100, 80, 60, 40])
def test_a_terminal_that_ranks_by_validation_keeps_validation(tmp_path, width):
    make_runs(tmp_path, {"gru": [3.2, 3.3], "lstm": [3.3, 3.5]}, val=3.21)
    make_runs(tmp_path, {"rnn": [None, None]}, val=3.25)
    text = plain(in_terminal(tmp_path, width))
    head = next(line for line in text.splitlines() if line.startswith("variant")).split()
    assert head[:3] == ["variant", "n", "val"]
    assert ("test" in head) == (width >= 60)
    assert row(text, "rnn")[2] == "3.250"


def test_where_nothing_is_to_be_remarked_there_is_no_such_column(tmp_path):
    make_runs(tmp_path, {"gru": [3.2, 3.3]}, record={"data.floors": None})
    text = plain(in_terminal(tmp_path, 30))
    assert "remark" not in text
    assert row(text, "gru")[:3] == ["gru", "2", "3.250"]


def test_colours_say_what_is_best_what_is_as_good_and_what_is_not_trained(runs):
    lines = in_terminal(runs, 160).splitlines()

    def codes(label):
        line = next(line for line in lines if plain(line).split()[:1] == [label])
        return re.match(r"(\x1b\[[0-9;]*m)?", line).group()

    assert codes("gru") == "\x1b[1;32m"
    assert codes("lstm") == "\x1b[32m"
    assert codes("rnn") == "\x1b[33m"
    assert codes("4-gram") == "\x1b[2m"
    (beats, *_) = (line for line in lines if "gru beats rnn" in line)
    assert beats.startswith("\x1b[32m")


def test_json_is_one_object_with_all_of_it(capsys, runs):
    add_curves(make_run(runs, "mlstm", status="preempted"))
    (make_run(runs, "custom_rnn") / "run.json").write_text("{")
    code, out, err = told(capsys, runs, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out, parse_constant=pytest.fail)
    assert set(found) == {
        *("confidence", "differing", "sets", "not_ranked", "left_out", "unreadable")
    }
    (only,) = found["sets"]
    assert [one["label"] for one in only["variants"]] == ["gru", "lstm", "rnn"]
    assert [one["rank"] for one in only["variants"]] == [1, 2, 3]
    gru = only["variants"][0]
    assert [run["test_bpc"] for run in gru["runs"]] == SCORES["gru"]
    assert [run["seed"] for run in gru["runs"]] == [0, 1, 2, 3]
    assert gru["test"]["mean"] == pytest.approx(3.27875)
    assert gru["test"]["low"] < 3.27875 < gru["test"]["high"]
    assert gru["settings"]["model.cell"] == "gru"
    assert {pair["verdict"] for pair in only["pairs"]} == {"beats", "close"}
    assert all(pair["is_comparable"] for pair in only["pairs"])
    assert only["floors"][3] == {
        "label": "4-gram",
        "val_bpc": 3.353876245748785,
        "test_bpc": 3.403526044576008,
        "is_best": True,
    }
    assert [one["why"] for one in found["left_out"]] == ["interrupted, step 1,744 of 3,488"]
    assert found["unreadable"][0]["why"].startswith("run.json is damaged")


def test_csv_has_a_row_a_variant(capsys, runs):
    make_run(runs, "gru", data="python_stdlib", test=1.9)
    code, out, err = told(capsys, runs, "--csv")
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(one["set"], one["rank"], one["label"]) for one in rows] == [
        ("1", "1", "gru"),
        ("1", "2", "lstm"),
        ("1", "3", "rnn"),
        ("2", "1", "gru"),
    ]
    assert rows[0]["seeds"] == "0 1 2 3"
    assert float(rows[0]["test_mean"]) == pytest.approx(3.27875)
    assert (rows[3]["test_n"], rows[3]["test_low"], rows[3]["unit"]) == ("1", "", "byte")
    assert [one["data.name"] for one in rows] == ["names"] * 3 + ["python_stdlib"]


def test_the_confidence_is_asked_as_a_part_or_in_percent(capsys, runs):
    _, half, _ = told(capsys, runs, "--confidence", "0.5")
    assert "50% interval" in half
    _, same, _ = told(capsys, runs, "--confidence", "50%")
    assert same.partition("Next")[0] == half.partition("Next")[0]
    widths = []
    for asked in ("0.8", "0.99"):
        _, out, _ = told(capsys, runs, "--json", "--confidence", asked)
        test = json.loads(out)["sets"][0]["variants"][0]["test"]
        widths.append(test["high"] - test["low"])
    assert widths[0] < widths[1] / 2


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (["no/such/runs"], ["no/such/runs names no runs", "no such folder"]),
        (["cels", "--root", "RUNS"], ["cels names no runs; did you mean cells?"]),
        (["RUNS", "--json", "--csv"], ["--json and --csv do not go together"]),
        (["RUNS", "--confidence", "1"], ["1 is not in the range 0.5 to 0.9999"]),
        (["RUNS", "--confidence", "nan"], ["nan is not in the range"]),
        (["RUNS", "--confidence", "much"], ["'much' is not a number"]),
        (["RUNS", "--html", "."], ["'.' is a directory"]),
        (["RUNS", "--fource"], ["No such option", "--force"]),
    ],
)
def test_mistakes_exit_with_2(capsys, runs, words, fragments):
    code, out, err = told(capsys, *(str(runs) if word == "RUNS" else word for word in words))
    assert (code, out) == (2, "")
    for fragment in fragments:
        assert fragment in err


def test_without_runs_there_is_nothing_to_compare(capsys, tmp_path):
    code, out, err = told(capsys, tmp_path)
    assert (code, out) == (2, "")
    assert "there is nothing to compare" in err
    assert "no run directory" in err
    make_run(tmp_path, status="running")
    code, out, err = told(capsys, tmp_path)
    assert code == 2
    assert "interrupted" in out
    assert "charlab runs" in err


def test_variants_of_which_none_can_be_ranked_are_shown_and_refused(capsys, tmp_path):
    make_run(tmp_path, "gru", test=3.2)
    make_run(tmp_path, "lstm", test=3.1, record={"data.fingerprint": "other"})
    code, out, err = told(capsys, tmp_path)
    assert code == 2
    assert row(out, "gru")[2] == "3.200"
    assert row(out, "lstm")[2] == "3.100"
    assert "not ranked against the first table: other data (fingerprint" in out
    assert "none of these can be ranked against another" in err
    assert "--force" in err
    code, out, err = told(capsys, tmp_path, "--force")
    assert (code, err) == (0, "")
    assert row(out, "lstm")[-2:] == ["not", "comparable"]
    assert "lstm is not comparable: other data (fingerprint" in out
    _, out, _ = told(capsys, tmp_path, "--force", "--json")
    reasons = [one["reason"] for one in json.loads(out)["sets"][0]["variants"]]
    assert reasons[0].startswith("other data (fingerprint") or reasons[1].startswith("other data")
    _, out, _ = told(capsys, tmp_path, "--force", "--csv")
    assert sum(bool(one["reason"]) for one in csv.DictReader(io.StringIO(out))) == 1


def test_one_variant_alone_is_shown(capsys, tmp_path):
    make_run(tmp_path)
    code, out, err = told(capsys, tmp_path)
    assert (code, err) == (0, "")
    assert "note: one seed: no interval" in out
    assert row(out, "gru")[2:5] == ["3.280", "one", "seed"]


def test_more_seeds_are_a_command_that_can_be_typed(capsys, tmp_path):
    options = ["group=cells", "model.match_params=75000"]
    for seed, (gru, lstm) in enumerate(((3.28, 3.29), (3.29, 3.285), (3.27, 3.29))):
        for cell, test in (("gru", gru), ("lstm", lstm)):
            typed = ["train.py", f"model={cell}", *options, f"seed={seed}"]
            make_run(tmp_path, cell, seed=seed, test=test, record={"command": typed})
    _, out, _ = told(capsys, tmp_path)
    lines = out.splitlines()
    (place,) = (n for n, line in enumerate(lines) if "more seeds of gru and lstm" in line)
    needed = int(re.search(r"about (\d+) seeds", out).group(1))
    seeds = ",".join(str(3 + n) for n in range(min(10, needed - 3)))
    shared = f"group=cells model.match_params=75000 paths.runs={tmp_path}"
    assert lines[place + 1].endswith(f"train.py -m model=gru,lstm {shared} seed={seeds}")


def test_more_seeds_go_where_the_compared_ones_are(capsys, tmp_path, monkeypatch):
    """Nothing is said of folders where that is the usual one, or where no option leads there."""
    for cell, test in (("gru", 3.28), ("lstm", 3.29)):
        typed = ["train.py", f"experiment=mine_{cell}", "group=cells", "paths.runs=old", "seed=0"]
        make_run(tmp_path / "runs", cell, test=test, record={"command": typed})
    monkeypatch.chdir(tmp_path)
    _, out, _ = told(capsys)
    for cell in ("gru", "lstm"):
        place = out.splitlines().index(f"  # 4 more seeds of {cell}")
        command = f"train.py -m experiment=mine_{cell} group=cells seed=1,2,3,4"
        assert out.splitlines()[place + 1].endswith(command)
    (tmp_path / "runs").rename(tmp_path / "kept")
    _, out, _ = told(capsys, "kept/cells")
    assert "-m experiment=mine_gru group=cells paths.runs=kept seed=1,2,3,4" in out
    odd = tmp_path / "ä, b=(1)"
    (tmp_path / "kept").rename(odd)
    _, out, _ = told(capsys, odd / "cells")
    words = next(shlex.split(line) for line in out.splitlines() if "mine_gru" in line)
    words = [word.replace("mine_gru", "notebook_names") for word in words]
    composer = Composer(ROOT / "conf", "config", None)
    jobs = composer.jobs(words[words.index("-m") + 1 :])
    assert [composer.compose(job).paths.runs for job in jobs] == [str(odd)] * 4
    odd.rename(tmp_path / "kept")
    (tmp_path / "kept" / "cells").rename(tmp_path / "kept" / "others")
    _, out, _ = told(capsys, "kept/others")
    assert "seed=" not in out


def test_more_seeds_of_a_variant_that_is_alone(capsys, tmp_path):
    record = {"command": ["train.py", "model=gru", "seed=0"]}
    make_run(tmp_path, record=record)
    _, out, _ = told(capsys, tmp_path)
    place = out.splitlines().index("  # 4 more seeds of gru")
    expected = f"train.py -m model=gru paths.runs={tmp_path} seed=1,2,3,4"
    assert out.splitlines()[place + 1].endswith(expected)
    for seed in range(1, 5):
        make_run(tmp_path, seed=seed, test=3.28 + 0.01 * seed, record=record)
    _, out, _ = told(capsys, tmp_path)
    assert "more seed" not in out


def test_more_seeds_of_a_run_that_was_extended_have_its_budget(capsys, tmp_path):
    typed = ["train.py", "trainer.max_steps=100", "seed=0"]
    budget = {"max_steps": 3488, "max_epochs": None}
    record = {"command": typed, "extended": [{"from_step": 100}], "budget": budget}
    for cell, test in (("gru", 3.28), ("lstm", 3.29)):
        make_run(tmp_path, cell, test=test, record=record)
    _, out, _ = told(capsys, tmp_path)
    (line,) = {line for line in out.splitlines() if "seed=" in line}
    expected = "train.py -m trainer.max_steps=3488 trainer.max_epochs=null "
    assert line.endswith(f"{expected}paths.runs={tmp_path} seed=1,2,3,4")


@pytest.mark.parametrize("typed", [None, [], ["charlab", "resume", "x"]])
def test_where_nobody_knows_how_runs_were_started_no_command_is_made_up(capsys, tmp_path, typed):
    make_run(tmp_path, "gru", record={"command": typed})
    make_run(tmp_path, "lstm", record={"command": typed}, test=3.29)
    code, out, _ = told(capsys, tmp_path)
    assert code == 0
    assert "seed=" not in out
    assert "--html report.html" in out


def test_many_pairs_are_those_of_the_best(capsys, tmp_path):
    for size in range(8):
        for seed in range(2):
            config = {"model.match_params": None, "model.hidden_size": 100 + size}
            make_run(tmp_path, seed=seed, test=3.2 + 0.1 * size + 0.01 * seed, config=config)
    _, out, _ = told(capsys, tmp_path)
    sentences = [line for line in out.splitlines() if " seeds" in line and "hidden_size" in line]
    assert len(sentences) == 7
    assert all("hidden_size=100" in line for line in sentences)
    assert "and 21 more pairs: --json and --html have them" in out


def test_many_runs_that_are_left_out_are_counted(capsys, tmp_path):
    make_run(tmp_path, "gru")
    for seed in range(12):
        make_run(tmp_path, "lstm", seed=seed, status="failed")
    _, out, _ = told(capsys, tmp_path)
    assert "left out 12 runs" in out
    assert out.count("failed, TrainingDiverged") == 10
    assert "and 2 more: --json has them" in out


def test_control_characters_of_run_json_do_not_reach_the_terminal(capsys, tmp_path):
    make_run(tmp_path, "gru", record={"data.source": "\x1b[2Jx", "code": "\x1b]0;t\x07"})
    make_run(tmp_path, "lstm", status="failed", record={"error": "\x1b[31mred"})
    code, out, _ = told(capsys, tmp_path)
    assert code == 0
    assert "\x1b" not in out
    assert "\x07" not in out


def test_the_page_is_asked_for_and_written(capsys, runs, tmp_path, monkeypatch):
    pytest.importorskip("plotly")
    page = tmp_path / "page.html"
    code, out, err = told(capsys, runs, "--html", page)
    assert (code, err) == (0, "")
    assert f"page: {page}" in out
    assert page.read_text("utf-8").lstrip().lower().startswith("<!doctype html>")


def test_the_table_reads_no_curves(capsys, runs, monkeypatch):
    """Of finished runs; the end of the file says how far others are."""
    for path in runs.glob("*/*"):
        (path / "metrics.jsonl").mkdir()
    assert told(capsys, runs)[0] == 0


def test_it_starts_without_torch_and_plotting(runs):
    code = (
        "import sys; from charlab.cli import run; code = run(sys.argv[1:]); "
        "heavy = {'torch', 'pytorch_lightning', 'wandb', 'hydra', 'plotly', 'matplotlib'}; "
        "sys.exit(code or len(heavy & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "compare", str(runs)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_says_what_runs_are(capsys):
    code, out, _ = told(capsys, "--help")
    assert code == 0
    assert "[RUNS]..." in out
    for option in ("--force", "--confidence", "--html FILE", "--json", "--csv", "--root"):
        assert option in out
    assert not math.isnan(command.compare_command.params[2].default)
