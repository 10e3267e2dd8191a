"""`charlab runs`: what there is, what runs, what cannot be read."""

import io
import json
import math
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from rich.console import Console

from charlab.cli import charlab_command
from charlab.listing.entries import Listing
from charlab.listing.view import age_text, narrowed, show
from charlab.rows import Tail

from .run_directories import add_curves, make_run


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def add_row(run, **entries):
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"chars_seen": 0, **entries}) + "\n")


def table_of(listing, width=200):
    out = io.StringIO()
    show(Console(file=out, width=width, highlight=False), listing.look())
    return out.getvalue()


def test_each_run_is_a_row_the_newest_last(runs):
    newer = make_run(runs, "lstm", test=3.29, started=datetime(2026, 3, 2, tzinfo=UTC))
    older = make_run(runs, "gru", test=3.28, started=datetime(2026, 3, 1, tzinfo=UTC))
    text = table_of(Listing([], runs))
    lines = text.splitlines()
    assert [line.split()[1] for line in lines[1:3]] == [older.name, newer.name]
    assert re.search(r"cells +\S+ +finished +3,488/3,488 3\.235 3\.280 \d+ d", lines[1])
    assert lines[3] == "2 runs: 2 finished"


def test_a_run_that_goes_on_is_followed_row_by_row(runs):
    run = make_run(
        runs, status="running", is_held=True, started=datetime.now(UTC) - timedelta(seconds=30)
    )
    listing = Listing([], runs)
    (before,) = listing.look().entries
    assert (before.state, before.step, before.val, before.left_s) == ("running", None, None, None)
    assert 29 < before.age_s < 60
    add_row(run, step=100, seconds=10.0, **{"train/loss": 2.0})
    add_row(run, step=200, seconds=19.0, **{"val/bpc": 3.5})
    add_row(run, step=300, seconds=30.0, **{"val/bpc": 3.4})
    add_row(run, step=400, seconds=40.0, **{"val/bpc": 3.45})
    (after,) = listing.look().entries
    assert (after.step, after.total, after.val, after.test) == (400, 3488, 3.4, None)
    assert after.left_s == pytest.approx((3488 - 400) * (40 - 10) / (400 - 100))
    add_row(run, step=500, seconds=50.0, **{"val/bpc": 3.3})
    (later,) = listing.look().entries
    assert (later.step, later.val) == (500, 3.3)


def test_a_run_that_ended_is_read_anew(runs):
    run = make_run(runs, status="running", is_held=True)
    listing = Listing([], runs)
    assert [entry.state for entry in listing.look().entries] == ["running"]
    record = json.loads((run / "run.json").read_text())
    record |= {"status": "failed", "error": "TrainingDiverged: NaN\nat step 7"}
    (run / "run.json").write_text(json.dumps(record))
    (entry,) = listing.look().entries
    assert (entry.state, entry.error) == ("failed", "TrainingDiverged: NaN\nat step 7")
    assert table_of(listing).splitlines()[-1] == f"{run.name}: TrainingDiverged: NaN"


def test_what_cannot_be_read_is_told_and_the_rest_listed(runs):
    whole = make_run(runs)
    add_curves(whole)
    damaged = make_run(runs, "lstm")
    (damaged / "run.json").write_text('{"status": "finis')
    empty = runs / "cells" / "empty"
    empty.mkdir()
    foreign = make_run(runs, "rnn", status="running")
    (foreign / "metrics.jsonl").write_bytes(b'\xff\x00[]\n{"step": "x"}\n{"step": 9}\n{"st')
    listed = Listing([], runs).look()
    assert {entry.path: (entry.state, entry.step) for entry in listed.entries} == {
        whole: ("finished", 3488),
        foreign: ("interrupted", 9),
    }
    assert {found.path for found in listed.unreadable} == {damaged, empty}
    text = table_of(Listing([], runs))
    assert f"not read: {damaged}: run.json is damaged: " in text
    assert f"not read: {empty}: no run.json in it" in text


def test_what_run_json_says_cannot_end_the_list_or_make_it_no_json(runs):
    make_run(runs, "gru", record={"scores.val/bpc": math.nan, "scores.test/bpc": math.inf})
    make_run(runs, "rnn", record={"scores.val/bpc": 10**400})
    claimed = make_run(runs, "lstm", status="running")
    (claimed / "claim.json").write_text("[" * 100_000)
    add_row(make_run(runs, "mlstm", status="running"), step=3, **{"val/bpc": math.nan})
    done = CliRunner().invoke(charlab_command, ["runs", "--json"], catch_exceptions=False)
    listed = [json.loads(line, parse_constant=pytest.fail) for line in done.stdout.splitlines()]
    assert [(row["val/bpc"], row["test/bpc"]) for row in listed] == [(None, None)] * 2
    assert "scores is a dict, not numbers by name" in done.stderr
    assert "claim.json is damaged" in done.stderr


def test_names_and_errors_are_no_markup_and_harmless(runs):
    run = make_run(runs, "gru", status="failed", record={"error": "[/b] \x1b[2J"})
    run.rename(run.parent / "[red]run")
    (runs / "cells" / "[red]\x1b\u202eempty").mkdir()
    text = table_of(Listing([], runs))
    assert "[red]run: [/b] \ufffd[2J" in text
    assert "/cells/[red]\ufffd\ufffdempty: no run.json in it" in text
    assert "1 run: 1 failed" in text


def test_a_narrow_terminal_keeps_run_and_state(runs):
    make_run(runs, "custom_gru", group="a_rather_long_name_of_a_group")
    lines = table_of(Listing([], runs), width=40).splitlines()
    assert lines[0].split() == ["run", "state", "val"]
    assert max(map(len, lines[:2])) <= 40
    assert "finished" in lines[1] and "…" in lines[1]


def test_words_states_and_a_number_narrow_it(runs):
    make_run(runs, "gru", group="a")
    second = make_run(runs, "lstm", group="b", started=datetime(2026, 5, 1, tzinfo=UTC))
    failed = make_run(runs, "rnn", group="b", status="failed")
    listing = Listing(["b"], runs)
    assert {entry.path for entry in listing.look().entries} == {second, failed}
    assert [entry.path for entry in narrowed(listing.look(), ["failed"], None).entries] == [failed]
    assert [entry.path for entry in narrowed(listing.look(), [], 1).entries] == [second]


def test_json_has_an_object_a_run(runs):
    run = make_run(runs, test=3.28, val=3.23)
    (runs / "cells" / "junk").mkdir()
    done = CliRunner().invoke(charlab_command, ["runs", "--json"], catch_exceptions=False)
    (row,) = map(json.loads, done.stdout.splitlines())
    assert row.pop("age_s") > 0
    assert row == {
        "run": str(run.relative_to(runs.parent)),
        "group": "cells",
        "state": "finished",
        "step": 3488,
        "total_steps": 3488,
        "val/bpc": 3.23,
        "test/bpc": 3.28,
        "left_s": None,
        "error": None,
    }
    assert "junk: no run.json in it" in done.stderr


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (7200, "2 h"), (86400 * 9, "9 d")],
)
def test_ages_are_in_the_largest_unit(seconds, text):
    assert age_text(seconds) == text


def test_a_watch_without_a_terminal_tells_each_new_state(runs):
    run = make_run(runs, status="running")
    command = [sys.executable, "-c", "from charlab.cli import main; main()", "runs", "--watch"]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env, cwd=runs.parent) as process:
        assert process.stdout is not None
        assert process.stdout.readline().decode().split() == ["cells", run.name, "interrupted"]
        record = json.loads((run / "run.json").read_text())
        record |= {"status": "finished", "num_steps": 3488, "scores": {"test/bpc": 3.25}}
        (run / "run.json").write_text(json.dumps(record))
        line = process.stdout.readline().decode()
        assert line == f"cells  {run.name}  finished  3,488/3,488  test 3.250\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_a_tail_gives_each_line_once_when_it_is_whole(tmp_path):
    file = tmp_path / "rows"
    tail = Tail(file)
    assert tail.lines() == []
    file.write_bytes(b"a\nb")
    assert tail.lines() == [b"a"]
    assert tail.lines() == []
    file.write_bytes(b"a\nbc\nd\n")
    assert tail.lines() == [b"bc", b"d"]
    # the run went on from an earlier row: what was told is not told again
    file.write_bytes(b"a\n")
    assert tail.lines() == []
    file.write_bytes(b"a\ne\n")
    assert tail.lines() == [b"e"]
