"""`charlab plot`, and what it says where there is nothing to draw."""

import json
import subprocess
import sys

import pytest

from charlab import cli
from charlab.errors import UsageError
from charlab.plot import draw

from ..run_directories import add_curves, add_diagnostics, add_samples, make_run

NAMES = ("learning_curve", "samples", "lengths", "diagnostics")


def told(capsys, *words):
    code = cli.run(["plot", *map(str, words)])
    return code, *capsys.readouterr()


@pytest.fixture
def run(tmp_path):
    made = make_run(tmp_path / "runs", "gru")
    add_curves(made)
    add_samples(made)
    add_diagnostics(made)
    return made


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")


def test_pictures_go_into_the_run_directory(run, capsys):
    code, out, err = told(capsys, run)
    assert (code, err) == (0, "")
    paths = [run / "plots" / f"{name}.png" for name in NAMES]
    assert out.splitlines() == list(map(str, paths))
    assert all(map(is_png, paths))


def test_or_where_they_are_wanted_and_against_what(run, capsys, tmp_path):
    code, out, _ = told(capsys, run, "-o", tmp_path / "new" / "folder", "--x", "seconds")
    assert code == 0
    assert out.splitlines()[0] == str(tmp_path / "new" / "folder" / "learning_curve.png")
    assert not (run / "plots").exists()


def test_draw_gives_the_files_by_name(run, tmp_path):
    found = draw(run, tmp_path)
    assert found == {name: tmp_path / f"{name}.png" for name in NAMES}
    assert all(map(is_png, found.values()))


def test_what_is_missing_is_told_with_the_reason(tmp_path, capsys):
    run = make_run(tmp_path, "lstm", data="python_stdlib")
    add_curves(run)
    code, out, err = told(capsys, run)
    assert (code, out) == (0, f"{run / 'plots' / 'learning_curve.png'}\n")
    assert err.splitlines() == [
        "no samples.png: there is no samples.jsonl: none drawn yet, or callbacks.samples is off",
        "no lengths.png: the data are one long text, without items that have lengths",
        "no diagnostics.png: there is no diagnostics.jsonl: "
        "callbacks.diagnostics.enabled=true has it measured",
    ]


def test_a_run_that_has_just_begun_has_nothing_to_draw(tmp_path, capsys):
    run = make_run(tmp_path, "gru", status="running", record={"data": None})
    code, out, err = told(capsys, run)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: there is nothing to draw of {run}\n")
    assert (
        "metrics.jsonl has no row of train/bpc or val/bpc: no step was logged, or it is damaged"
        in err
    )
    assert not (run / "plots").exists()


def test_a_path_that_is_no_run_is_told(tmp_path, capsys):
    code, _, err = told(capsys, tmp_path / "nothing")
    assert code == 2
    assert err.startswith(f"error: {tmp_path / 'nothing'} is not a run directory\n")
    assert "no such folder" in err


def test_a_damaged_configuration_is_told(run, capsys):
    (run / "config.yaml").write_text("model: [")
    code, _, err = told(capsys, run)
    assert code == 2
    assert err.startswith(f"error: {run} cannot be read\n")
    assert "config.yaml" in err.splitlines()[2]


@pytest.mark.parametrize("damage", [[], "text", {"lengths": "text"}, {"floors": [1]}])
def test_damaged_entries_are_told_and_the_rest_is_drawn(run, capsys, damage):
    record = json.loads((run / "run.json").read_text())
    record["data"] = damage
    record["samples"] = damage
    (run / "run.json").write_text(json.dumps(record))
    code, out, err = told(capsys, run)
    assert code in (0, 2)
    assert "Traceback" not in err
    if code == 0:
        assert str(run / "plots" / "samples.png") in out.splitlines()
        assert "no lengths.png" in err


def test_a_folder_that_cannot_be_written_is_told(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="the pictures cannot be written to") as error:
        draw(run, tmp_path / "file" / "inside")
    assert error.value.hint == "charlab plot RUN -o FOLDER"


def test_neither_the_command_nor_a_picture_needs_torch(run, tmp_path):
    code = (
        "import sys; from pathlib import Path; import charlab.cli\n"
        "assert 'matplotlib' not in sys.modules, 'before anything is drawn'\n"
        "from charlab.plot import draw; draw(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print(*sorted({'torch', 'pytorch_lightning', 'wandb'} & set(sys.modules)))"
    )
    words = [sys.executable, "-c", code, str(run), str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    assert (tmp_path / "out" / "learning_curve.png").exists()
