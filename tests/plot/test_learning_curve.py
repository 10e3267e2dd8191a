"""Learning curves: the values that are drawn, read back from the axes."""

import json

import numpy as np
import pytest

from charlab.plot.figures import figures
from charlab.plot.learning_curve import apart
from charlab.plot.run import run_to_draw

from ..run_directories import NAMES_FLOORS, add_curves, make_run


def curve_of(run, x="steps"):
    drawn, missing = figures(run_to_draw(run), x)
    assert "learning_curve" in drawn, missing
    (axes,) = drawn["learning_curve"].axes
    return axes


def lines(axes):
    """The points of each curve by its label."""
    return {line.get_label(): np.array(line.get_data()).T for line in axes.get_lines()}


def measured(run, metric, x):
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return np.array([(row[x], row[metric]) for row in found if metric in row])


def texts(axes):
    return [text.get_text().strip() for text in axes.texts]


@pytest.fixture
def run(tmp_path):
    made = make_run(tmp_path, "gru", test=3.27)
    add_curves(made)
    return made


@pytest.mark.parametrize(
    ("x", "name", "label"),
    [
        ("steps", "step", "steps"),
        ("chars", "chars_seen", "chars trained on"),
        ("seconds", "seconds", "seconds, with validation, samples and checkpoints"),
    ],
)
def test_train_and_validation_are_drawn_as_they_were_measured(run, x, name, label):
    axes = curve_of(run, x)
    drawn = lines(axes)
    for split in ("train", "val"):
        np.testing.assert_allclose(drawn[split], measured(run, f"{split}/bpc", name))
    assert axes.get_xlabel() == label
    assert axes.get_ylabel() == "bits per char"
    assert axes.get_xlim()[0] == 0


def test_n_grams_are_lines_and_the_best_of_validation_stands_out(run):
    axes = curve_of(run)
    low, high = axes.get_ylim()
    floors = {label: floor["val_bpc"] for label, floor in NAMES_FLOORS.items()}
    seen = {label: bpc for label, bpc in floors.items() if low <= bpc <= high}
    assert {"3-gram", "4-gram", "5-gram"} <= set(seen)
    flat = [line.get_ydata()[0] for line in axes.get_lines() if line.get_linestyle() == "--"]
    assert sorted(flat) == sorted(seen.values())
    labels = {text.get_text().strip(): text for text in axes.texts}
    assert {f"{label} {bpc:.3f}" for label, bpc in seen.items()} <= set(labels)
    bold = [name for name, text in labels.items() if text.get_fontweight() == "bold"]
    assert bold == ["4-gram 3.354"]


def test_the_best_checkpoint_is_marked_and_the_test_score_told(run):
    axes = curve_of(run, "chars")
    record = json.loads((run / "run.json").read_text())
    (dot,) = [line for line in axes.get_lines() if line.get_marker() == "o"]
    at = dict(measured(run, "val/bpc", "step"))
    step = record["scores"]["best_step"]
    assert step in at
    assert dot.get_ydata() == [record["scores"]["val/bpc"]]
    (chars,) = [row[0] for row in measured(run, "val/bpc", "chars_seen")[-1:]]
    assert dot.get_xdata() == [chars]
    assert f"best 3.225 at step {step:,}" in texts(axes)
    assert axes.get_title(loc="left") == run.name
    assert axes.get_title(loc="right") == "test 3.270 bits per char"


def test_a_run_that_goes_on_is_drawn_as_far_as_it_is(tmp_path):
    run = make_run(tmp_path, "gru", status="running", is_held=True)
    add_curves(run, num_rows=20)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4000, "chars_seen": 1, "sec')  # as it is being written
    axes = curve_of(run)
    val = measured_whole(run)
    best = min(val, key=lambda row: row[1])
    assert f"best {best[1]:.3f} at step {int(best[0]):,}" in texts(axes)
    assert axes.get_title(loc="right") == "running: as far as it is"


def measured_whole(run):
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()[:-1]]
    return [(row["step"], row["val/bpc"]) for row in found if "val/bpc" in row]


def test_what_comes_first_is_cut_off_so_that_the_rest_can_be_read(run):
    axes = curve_of(run)
    steps, bits = lines(axes)["train"].T
    high = axes.get_ylim()[1]
    assert bits[0] > high
    assert bits[steps >= 0.03 * steps[-1]].max() < high


def test_a_run_before_its_first_validation_has_a_curve_of_train_alone(tmp_path):
    run = make_run(tmp_path, "gru", status="running")
    row = {"step": 50, "chars_seen": 900, "seconds": 2.0, "train/bpc": 5.5}
    (run / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    drawn = lines(curve_of(run))
    assert drawn["train"].tolist() == [[50, 5.5]]
    assert "val" not in drawn


def test_bytes_are_called_bytes(tmp_path):
    run = make_run(tmp_path, "lstm", data="python_stdlib", test=2.1)
    add_curves(run)
    axes = curve_of(run, "chars")
    assert axes.get_ylabel() == "bits per byte"
    assert axes.get_xlabel() == "bytes trained on"
    # compressors do not learn from train as a network does
    assert not any("gzip" in text for text in texts(axes))


@pytest.mark.parametrize(
    ("places", "gap", "moved"),
    [
        ([1.0, 3.0, 2.0], 0.5, [1.0, 3.0, 2.0]),
        ([1.0, 1.1], 0.3, [0.9, 1.2]),
        # the third is met by what the first two have become
        ([1.0, 1.0, 1.25], 0.2, [0.88333, 1.08333, 1.28333]),
        ([], 0.2, []),
    ],
)
def test_labels_move_no_further_apart_than_they_have_to(places, gap, moved):
    assert apart(places, gap) == pytest.approx(moved, abs=1e-4)
