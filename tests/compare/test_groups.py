"""What makes two runs one variant, and what variants are called."""

import pytest

from charlab.compare.compare import compare
from charlab.compare.groups import group_runs, labels, settings_of
from charlab.reading.find import read_runs

from ..run_directories import make_run, plain_config


def variants(folder, **options):
    """Of the only set, by label."""
    (only,) = compare(read_runs([str(folder)]), **options).sets
    return {variant.label: variant for variant in only.variants}


# what train.py says in config.yaml, and results do not depend on
@pytest.mark.parametrize(
    "config",
    [
        {"paths.runs": "/elsewhere", "paths.cache": "/tmp"},
        {"resume": "never"},
        {"logger.wandb.mode": "disabled", "logger.wandb.tags": ["a"], "logger.csv.enabled": True},
        {"data.path": "/copy/of/names.txt", "data.sha256": "0" * 64},
        {"trainer.max_epochs": None, "trainer.max_steps": 3488},
        {"trainer.num_threads": 2, "trainer.accelerator": "cpu", "trainer.deterministic": False},
        {"trainer.log_every_n_steps": 7, "trainer.test": False, "trainer.detect_anomaly": True},
        {"callbacks.samples.every_n_steps": 9, "callbacks.samples.enabled": False},
        {"callbacks.checkpoint.every_s": 5.0, "callbacks.progress.epochs": True},
        {"callbacks.divergence.max_ratio": 4.0, "callbacks.early_stopping.patience": 9},
        # match_params solves for it
        {"model.hidden_size": 999},
    ],
    ids=lambda config: next(iter(config)),
)
def test_what_results_do_not_depend_on_does_not_part_runs(tmp_path, config):
    make_run(tmp_path, seed=0)
    make_run(tmp_path, seed=1, group="others", config=config)
    assert [run.seed for run in variants(tmp_path)["gru"].runs] == [0, 1]


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        ({"model.num_layers": 2}, ["gru num_layers=1", "gru num_layers=2"]),
        ({"optimizer.lr": 0.003}, ["gru lr=0.001", "gru lr=0.003"]),
        (
            {"trainer.precision": "bf16-mixed"},
            ["gru precision=32-true", "gru precision=bf16-mixed"],
        ),
        ({"scheduler.name": "cosine"}, ["gru scheduler=one_cycle", "gru scheduler=cosine"]),
        ({"trainer.val_every_n_steps": 99}, None),
        ({"callbacks.checkpoint.enabled": False}, ["gru checkpoint=True", "gru checkpoint=False"]),
        (
            {"callbacks.early_stopping.enabled": True},
            ["gru", "gru early_stopping=True"],
        ),
        ({"model.engine": "reference"}, ["gru engine=auto", "gru engine=reference"]),
        (
            {"model.match_params": None, "model.hidden_size": 300},
            ["gru", "gru hidden_size=300"],
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_results_depend_on_parts_runs_and_is_their_label(tmp_path, config, labels):
    make_run(tmp_path, seed=0, test=3.2)
    make_run(tmp_path, seed=0, test=3.3, config=config)
    found = list(variants(tmp_path))
    assert len(found) == 2
    assert labels is None or found == labels


def test_every_option_of_a_cell_of_its_own_counts(tmp_path):
    make_run(tmp_path, "custom_gru", test=3.2)
    make_run(tmp_path, "custom_gru", test=3.3, config={"model.reset": "after"})
    make_run(
        tmp_path, "custom_gru", test=3.4, config={"model.reset": "after", "model.bias": "both"}
    )
    make_run(tmp_path, "gru", test=3.5)
    assert list(variants(tmp_path)) == [
        "custom_gru bias=none reset=before",
        "custom_gru bias=none reset=after",
        "custom_gru bias=both reset=after",
        "gru",
    ]


def test_labels_name_no_more_options_than_it_takes(tmp_path):
    """Three options that go together are one difference."""
    for size, lr, dropout in ((100, 0.01, 0.0), (200, 0.003, 0.1), (300, 0.001, 0.2)):
        config = {"model.match_params": None, "model.hidden_size": size, "optimizer.lr": lr}
        make_run(tmp_path, test=3 + size / 1e3, config={**config, "model.dropout": dropout})
    expected = ["gru hidden_size=100", "gru hidden_size=200", "gru hidden_size=300"]
    assert list(variants(tmp_path)) == expected
    settings = [variant.settings for variant in variants(tmp_path).values()]
    assert [one["optimizer.lr"] for one in settings] == [0.01, 0.003, 0.001]
    assert [one["model.dropout"] for one in settings] == [0.0, 0.1, 0.2]


def test_labels_stay_unique_and_harmless_whatever_the_values(tmp_path):
    for number, name in enumerate(["a\x1b[31m", "a\n", ["x", "y"], "a b", "", None, 1, 1.0, True]):
        make_run(tmp_path, seed=number, config={"model.init": name})
    groups = group_runs(read_runs([str(tmp_path)]).runs)
    found = labels(groups)
    assert len(groups) == 9
    assert not any("\x1b" in label or "\n" in label for label in found)
    assert len(set(found)) == len(found)
    assert {"gru init=1", "gru init=1 #2", "gru init=null"} <= set(found)


def test_of_two_runs_of_a_seed_the_newest_that_finished_counts(tmp_path):
    old = make_run(tmp_path, seed=0, test=3.5)
    new = make_run(tmp_path, seed=0, test=3.2, record={"ended": "2026-05-01T12:00:00+00:00"})
    make_run(tmp_path, seed=0, status="failed", record={"started": "2026-06-01T12:00:00+00:00"})
    found = compare(read_runs([str(tmp_path)]))
    (only,) = found.sets
    (variant,) = only.variants
    assert [run.path for run in variant.runs] == [new]
    assert variant.test.mean == 3.2
    assert f"seed 0 of gru has been run again; the newest counts, and not {old}" in only.notes


def test_a_configuration_that_lacks_an_option_is_another(tmp_path):
    """Of an older version, say: nobody knows what it would have been."""
    make_run(tmp_path, seed=0)
    path = make_run(tmp_path, seed=1)
    lines = (path / "config.yaml").read_text().splitlines()
    kept = [line for line in lines if "tie_weights" not in line]
    assert len(kept) == len(lines) - 1
    (path / "config.yaml").write_text("\n".join(kept))
    assert sorted(variants(tmp_path)) == ["gru", "gru tie_weights=False"]


def test_every_option_is_either_a_setting_or_known_not_to_be(tmp_path):
    """A new option is a setting until somebody has thought about it."""
    run = read_runs([str(make_run(tmp_path))]).runs[0]
    found = {name.partition(".")[0] for name in settings_of(run)}
    assert found == {
        "model",
        "data",
        "optimizer",
        "scheduler",
        "trainer",
        "callbacks",
        "total_steps",
    }
    assert {name for name in settings_of(run) if name.startswith("trainer.")} == {
        "trainer.devices",
        "trainer.precision",
        "trainer.gradient_clip",
        "trainer.val_every_n_steps",
    }
    cell_options = {f"model.{name}" for name in plain_config("gru")["model"]} - {
        "model.hidden_size"
    }
    assert {name for name in settings_of(run) if name.startswith("model.")} == cell_options
