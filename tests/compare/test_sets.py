"""What is ranked together, what is left out, and what one is told about it."""

from datetime import UTC, datetime

import pytest

from charlab.compare.compare import compare
from charlab.reading.find import read_runs

from ..run_directories import NAMES_FLOORS, STEPS, add_curves, make_run, make_runs

OTHER_DATA = {"data.fingerprint": "0123456789abcdef"}


def compared(folder, **options):
    return compare(read_runs([str(folder)]), **options)


def labels(found):
    return [[variant.label for variant in one.variants] for one in found.sets]


def test_a_set_is_sorted_and_has_its_numbers(tmp_path):
    made = make_runs(tmp_path, {"lstm": [3.30, 3.31], "gru": [3.28, 3.26, 3.27]})
    found = compared(tmp_path)
    assert (found.not_ranked, found.left_out, found.unreadable) == ((), (), ())
    (only,) = found.sets
    assert only.title == "names (bundled) · 3,488 steps of 64 names"
    assert (only.unit, only.ranked_by) == ("char", "test")
    gru, lstm = only.variants
    assert (gru.label, lstm.label) == ("gru", "lstm")
    assert [run.path for run in gru.runs] == made["gru"]
    assert gru.test.n == 3
    assert gru.test.mean == pytest.approx(3.27)
    assert gru.test.sd == pytest.approx(0.01)
    assert gru.val.mean == pytest.approx(3.27 - 0.045)
    assert gru.test.low < 3.27 < gru.test.high
    assert (gru.num_params, gru.state_size, lstm.state_size) == (74621, 127, 180)
    assert gru.train_s == pytest.approx(44.2)
    assert gru.chars_per_s == pytest.approx(1_576_704 / 44.2)
    assert gru.peak_memory_bytes == 508_747_776
    assert [floor.label for floor in only.floors] == list(NAMES_FLOORS)
    assert only.best_floor.label == "4-gram"
    assert only.best_floor.test_bpc == NAMES_FLOORS["4-gram"]["test_bpc"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (OTHER_DATA, "other data (fingerprint 0123456789abcdef, not 6ca6d4bb717586b2)"),
        ({"data.vocabulary_fingerprint": "ab"}, "another vocabulary (ab, not e428b9f014e661f5)"),
        ({"data.num_val": 5}, "another split (val and test (5, 1737), not (1737, 1737))"),
        ({"data.standard_split": False}, "a split of its own, unlike the other"),
        ({"data.unit": "byte"}, "bits per byte, not per char"),
        (
            {"total_steps": 2 * STEPS, "num_steps": 2 * STEPS, "chars_seen": 3_153_408},
            "2 times the budget (6,976 steps of 64 names, not 3,488 steps of 64 names)",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_ranked_together_stays_apart(tmp_path, record, reason):
    make_runs(tmp_path, {"gru": [3.28, 3.26, 3.27], "rnn": [3.3, 3.3, 3.3]})
    make_runs(tmp_path, {"lstm": [3.10, 3.11]}, record=record)
    found = compared(tmp_path)
    assert labels(found) == [["gru", "rnn"], ["lstm"]]
    assert found.not_ranked == (f"not ranked against the first table: {reason}",)
    assert not any("lstm" in pair.sentence for one in found.sets for pair in one.pairs)
    forced = compared(tmp_path, force=True)
    assert forced.not_ranked == ()
    (only,) = forced.sets
    assert [(variant.label, variant.reason) for variant in only.variants] == [
        ("lstm", reason),
        ("gru", ""),
        ("rnn", ""),
    ]
    assert len(only.pairs) == 3
    for pair in only.pairs:
        assert pair.is_comparable == ("lstm" not in (pair.better, pair.worse))
        assert pair.is_comparable != pair.sentence.startswith("not comparable: ")


def test_one_configuration_on_two_vocabularies_is_two_variants(tmp_path):
    """As runs of two versions may be: the configuration alone would put them together."""
    make_run(tmp_path, seed=0)
    make_run(tmp_path, seed=1, record={"data.vocabulary_fingerprint": "ab"})
    assert labels(compared(tmp_path)) == [["gru"], ["gru"]]
    assert labels(compared(tmp_path, force=True)) == [
        ["gru vocabulary_fingerprint=e428b9f014e661f5", "gru vocabulary_fingerprint=ab"]
    ]


def test_budgets_that_differ_by_less_than_a_hundredth_are_one(tmp_path):
    chars = 1_576_704
    make_run(tmp_path, "gru", record={"chars_seen": chars})
    make_run(tmp_path, "lstm", record={"chars_seen": int(chars * 1.009)})
    make_run(tmp_path, "rnn", record={"chars_seen": int(chars * 1.03)})
    assert sorted(map(sorted, labels(compared(tmp_path)))) == [["gru", "lstm"], ["rnn"]]


def test_the_same_budget_in_other_batches_is_the_same(tmp_path):
    """16 epochs are as many characters whatever the batch size: the last of each is smaller."""
    make_run(tmp_path, "gru")
    make_run(
        tmp_path,
        "lstm",
        config={"data.batch_size": 512},
        record={"total_steps": 448, "num_steps": 448},
    )
    found = compared(tmp_path)
    assert labels(found) == [["gru", "lstm"]]
    (note,) = (note for note in found.sets[0].notes if "more than the cell" in note)
    assert note == "they differ in more than the cell: data.batch_size 64 (gru), 512 (lstm)"


def test_early_stopping_shares_the_budget_that_it_was_given(tmp_path):
    make_run(tmp_path, "gru", seed=0)
    config = {"callbacks.early_stopping.enabled": True}
    record = {"num_steps": STEPS // 2, "chars_seen": 1_576_704 // 2}
    make_run(tmp_path, "lstm", seed=0, config=config, record=record)
    found = compared(tmp_path)
    assert labels(found) == [["gru", "lstm"]]
    assert "lstm stopped early, after 1,744 of 3,488 steps" in found.sets[0].notes


def test_processes_count_in_the_budget_as_they_are_told(tmp_path):
    make_run(tmp_path, config={"trainer.devices": 2})
    assert "64 names in each of 2 processes" in compared(tmp_path).sets[0].title


def test_the_budget_of_a_stream_is_in_its_units(tmp_path):
    make_run(tmp_path, data="python_stdlib", test=1.9)
    (only,) = compared(tmp_path).sets
    assert only.title.endswith("· 3,488 steps of 64 x 100 bytes")
    assert only.unit == "byte"
    assert [floor.label for floor in only.floors][-3:] == ["gzip", "bz2", "xz"]
    assert only.best_floor.label == "6-gram"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"status": "running", "is_held": True}, "running, step 1,744 of 3,488"),
        ({"status": "running"}, "interrupted, step 1,744 of 3,488"),
        ({"status": "preempted"}, "interrupted, step 1,744 of 3,488"),
        ({"status": "pruned"}, "pruned, step 1,744 of 3,488"),
        (
            {"status": "failed"},
            "failed, step 1,744 of 3,488, TrainingDiverged: the loss is NaN at step 400",
        ),
        ({"record": {"num_steps": 400}}, "cut off: 400 of 3,488 steps"),
        ({"record": {"scores.test/bpc": None, "scores.val/bpc": None}}, "it has no finite score"),
        ({"record": {"total_steps": None}}, "run.json does not say total_steps"),
        ({"record": {"chars_seen": 0}}, "run.json does not say chars_seen"),
        ({"record": {"data.fingerprint": None}}, "run.json does not say data.fingerprint"),
        ({"record": {"model": None}}, "run.json does not say model.num_params"),
    ],
)
def test_what_is_not_trained_to_its_end_is_left_out_and_told(tmp_path, options, why):
    make_run(tmp_path, "gru")
    path = make_run(tmp_path, "lstm", **options)
    if "status" in options:
        add_curves(path)
    found = compared(tmp_path)
    assert labels(found) == [["gru"]]
    assert [(one.path, one.why) for one in found.left_out] == [(path, why)]


def test_the_largest_set_comes_first(tmp_path):
    make_runs(tmp_path, {"gru": [3.2]}, record=OTHER_DATA)
    make_runs(tmp_path, {"gru": [3.2, 3.2], "lstm": [3.3]})
    assert labels(compared(tmp_path)) == [["gru", "lstm"], ["gru"]]


def test_without_a_test_score_all_are_ranked_by_validation(tmp_path):
    make_run(tmp_path, "gru", val=3.25, test=3.20)
    make_run(tmp_path, "lstm", val=3.24, test=3.30)
    make_run(tmp_path, "rnn", val=3.26, test=None)
    (only,) = compared(tmp_path).sets
    assert only.ranked_by == "val"
    assert [variant.label for variant in only.variants] == ["lstm", "gru", "rnn"]
    assert "ranked by validation: no test score of rnn" in only.notes


def test_of_scores_that_some_runs_lack_the_others_count(tmp_path):
    make_run(tmp_path, "gru", seed=0, val=3.25, test=3.20)
    make_run(tmp_path, "gru", seed=1, val=3.25, test=None)
    (only,) = compared(tmp_path).sets
    assert (only.ranked_by, only.variants[0].test.n, only.variants[0].val.n) == ("test", 1, 2)
    assert "gru: no finite test score of 1 of 2 runs" in only.notes


ORIGINS = [
    (
        {"hardware.cpu": "Xeon"},
        {},
        "not the same machine: AMD EPYC (2 cores) (gru), Xeon (2 cores) (lstm)",
    ),
    (
        {"device": "NVIDIA H100"},
        {},
        "not the same machine: AMD EPYC (2 cores) (gru), NVIDIA H100 (lstm)",
    ),
    ({"code": "abc"}, {}, "not the same code of charlab: f6f137c67d67 (gru), abc (lstm)"),
    ({"versions.torch": "2.9"}, {}, "not the same version of torch: 2.13.0+cpu (gru), 2.9 (lstm)"),
    (
        {},
        {"trainer.precision": "bf16-mixed"},
        "not the same precision: 32-true (gru), bf16-mixed (lstm)",
    ),
    (
        {},
        {"trainer.num_threads": 4},
        "not the same number of threads (trainer.num_threads): None (gru), 4 (lstm)",
    ),
    (
        {"resumed": [{"at": "2026-03-01", "code": "abc"}]},
        {},
        "not the same code of charlab: f6f137c67d67 (gru), f6f137c67d67 and abc (lstm)",
    ),
]


@pytest.mark.parametrize(("record", "config", "note"), ORIGINS)
def test_where_times_cannot_be_compared_a_note_says_so(tmp_path, record, config, note):
    make_run(tmp_path, "gru")
    make_run(tmp_path, "lstm", record=record, config=config)
    found = compared(tmp_path)
    assert labels(found) == [["gru", "lstm"]]
    notes = found.sets[0].notes
    assert note in notes
    assert notes[notes.index(note) + 1] == "so characters/s, time and memory are not comparable"


def test_runs_of_one_origin_need_no_note(tmp_path):
    make_runs(tmp_path, {"gru": [3.28, 3.27], "lstm": [3.29, 3.3]})
    assert compared(tmp_path).sets[0].notes == ()


def test_uncommitted_changes_are_told(tmp_path):
    make_run(tmp_path, "gru")
    make_run(tmp_path, "lstm", record={"git.dirty": True})
    notes = compared(tmp_path).sets[0].notes
    assert "made from a checkout with uncommitted changes: lstm" in notes


def test_unequal_numbers_of_parameters_are_told(tmp_path):
    make_run(tmp_path, "gru", record={"model.num_params": 100_000})
    make_run(tmp_path, "lstm", record={"model.num_params": 131_000})
    make_run(tmp_path, "rnn", record={"model.num_params": 104_000})
    notes = compared(tmp_path).sets[0].notes
    expected = (
        "lstm has 1.31 times the parameters of gru; model.match_params=100000 gives cells as many"
    )
    assert expected in notes


def test_a_difference_of_a_twentieth_in_parameters_is_none(tmp_path):
    make_run(tmp_path, "gru", record={"model.num_params": 100_000})
    make_run(tmp_path, "lstm", record={"model.num_params": 105_000})
    assert not any("parameters" in note for note in compared(tmp_path).sets[0].notes)


def test_seeds_that_not_all_have_are_told(tmp_path):
    make_runs(tmp_path, {"gru": [3.28, 3.27, 3.29, 3.28], "rnn": [3.28, 3.27, 3.29, 3.28]})
    for seed in (1, 2, 5):
        make_run(tmp_path, "lstm", seed=seed)
    (only,) = compared(tmp_path).sets
    expected = (
        "seeds are not the same: 1-2, 5 (lstm), 0-3 (gru, rnn); pairs are over those that both have"
    )
    assert expected in only.notes
    assert {pair.n for pair in only.pairs if "lstm" in (pair.better, pair.worse)} == {2}


@pytest.mark.parametrize(
    ("scores", "note"),
    [
        ({"gru": [3.2]}, "one seed: no interval"),
        ({"gru": [3.2], "lstm": [3.3]}, "one seed each: no intervals"),
        ({"gru": [3.2, 3.3], "lstm": [3.3]}, "lstm: one seed, no interval"),
    ],
)
def test_one_seed_has_no_interval_and_that_is_said(tmp_path, scores, note):
    make_runs(tmp_path, scores)
    (only,) = compared(tmp_path).sets
    assert note in only.notes
    single = only.variants[-1].test
    assert (single.n, single.sd, single.low, single.high) == (1, None, None, None)


def test_a_difference_besides_the_cell_is_told(tmp_path):
    make_run(tmp_path, "gru", config={"optimizer.lr": 0.005})
    make_run(tmp_path, "rnn", config={"optimizer.lr": 0.003})
    make_run(tmp_path, "lstm", config={"optimizer.lr": 0.005})
    make_run(tmp_path, "custom_gru", config={"optimizer.lr": 0.005})
    notes = compared(tmp_path).sets[0].notes
    expected = "they differ in more than the cell: optimizer.lr 0.003 (rnn), 0.005 (the others)"
    assert expected in notes


def test_what_all_labels_say_needs_no_note(tmp_path):
    for size in (128, 300):
        config = {"model.match_params": None, "model.hidden_size": size}
        make_run(tmp_path, "gru", config=config)
    found = compared(tmp_path)
    assert labels(found) == [["gru hidden_size=128", "gru hidden_size=300"]]
    assert not any("more than the cell" in note for note in found.sets[0].notes)
    assert found.differing == ("model.hidden_size",)


def test_a_budget_that_was_extended_is_told(tmp_path):
    make_run(tmp_path, "gru")
    make_run(tmp_path, "lstm", record={"extended": [{"at": "2026-03-02", "from_step": 100}]})
    (note,) = (note for note in compared(tmp_path).sets[0].notes if "another budget" in note)
    assert note.startswith("lstm: its run began with another budget")


def test_memory_is_that_of_the_gpu_where_there_was_one(tmp_path):
    make_run(tmp_path, record={"peak_device_memory_bytes": 7 * 2**30})
    assert compared(tmp_path).sets[0].variants[0].peak_memory_bytes == 7 * 2**30


def test_nothing_depends_on_the_order_of_the_runs(tmp_path):
    make_runs(tmp_path, {"gru": [3.28, 3.27], "lstm": [3.29, 3.3], "rnn": [3.4, 3.41]})
    make_run(tmp_path, "gru", seed=0, started=datetime(2026, 5, 1, tzinfo=UTC))
    read = read_runs([str(tmp_path)])
    turned = read._replace(runs=read.runs[::-1])
    assert compare(turned).sets[0].variants == compare(read).sets[0].variants
    assert compare(turned).sets[0].pairs == compare(read).sets[0].pairs
