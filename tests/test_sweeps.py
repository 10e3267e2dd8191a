"""Every sweep file is one that W&B takes, and all that it sweeps over composes."""

import re
from functools import cache

import pytest
import yaml

from charlab.sweeps.definition.files import read_sweep_file
from charlab.sweeps.search.plan import Grid, need_optuna, plan
from charlab.sweeps.search.space import Space

from .running import ROOT

SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))
NUM_SAMPLES = 20
every_file = pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)


@cache
def given(path):
    return yaml.safe_load(path.read_text())


def planned(path, **options):
    options = {"per": None, "num_trials": None, "storage_url": None, "seed": 0} | options
    return plan(read_sweep_file(path), (), **options)


@every_file
def test_the_sweep_starts_train_py_with_overrides(path):
    sweep = given(path)
    assert (ROOT / sweep["program"]).name == "train.py"
    assert sweep["command"] == ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"]
    assert sweep["method"] in ("grid", "random", "bayes")
    assert sweep["metric"] == {"name": "val/bpc", "goal": "minimize"}


@every_file
def test_the_runs_of_a_sweep_have_a_group_of_their_own(path):
    assert given(path)["parameters"]["group"] == {"value": path.stem}


@every_file
def test_each_parameter_is_swept_by_its_full_name(path):
    """Nested parameters reach train.py as a dict from W&B's agents."""
    assert not [
        name for name, content in given(path)["parameters"].items() if "parameters" in content
    ]
    space = Space.of(read_sweep_file(path), ())
    assert space.parameters.keys() == given(path)["parameters"].keys()


@every_file
def test_every_combination_composes(path):
    """Of a grid all jobs; of a search the ends of each range, each value and some trials."""
    sweep = planned(path)
    if isinstance(sweep, Grid):
        jobs = list(sweep.jobs)
        choices = [
            len(content.get("values", [1])) for content in given(path)["parameters"].values()
        ]
        count = 1
        for choice in choices:
            count *= choice
        assert len(jobs) == count > 1
    else:
        from charlab.sweeps.search.study import examples

        need_optuna()
        jobs = [sweep.parts[0].job, *examples(sweep.parts[0].space, NUM_SAMPLES, seed=1)]
    assert len({job.name for job in jobs}) == len(jobs)
    assert {job.folder.name for job in jobs} == {path.stem}


@every_file
def test_a_search_says_how_long_it_is(path):
    """Else a W&B server never ends it."""
    if given(path)["method"] != "grid":
        assert given(path)["run_cap"] >= 10


@every_file
def test_the_commands_in_the_comment_are_those_of_the_file(path):
    comment = [line for line in path.read_text().splitlines() if line.startswith("#")]
    commands = [line for line in comment if re.search(r"(wandb|charlab) sweep \S", line)]
    assert commands
    assert all(f"sweep sweeps/{path.name}" in line for line in commands)


@pytest.mark.parametrize(("name", "each"), [("tuning_names", 8), ("tuning_kantrowitz", 6)])
def test_cells_are_tuned_with_the_same_number_of_trials(name, each):
    sweep = planned(ROOT / "sweeps" / f"{name}.yaml", per="model")
    cells = ["gru", "custom_gru", "lstm", "rnn"]
    assert [cell.name for cell in sweep.parts] == [f"model={cell}" for cell in cells]
    assert {cell.num_trials for cell in sweep.parts} == {each}


def test_cells_of_a_comparison_have_as_many_parameters():
    """In the configuration: that the hidden size is solved for is tested where it is."""
    for name in ("cells_enwik8", "seeds_names", "tuning_names"):
        assert "model.match_params" in given(ROOT / "sweeps" / f"{name}.yaml")["parameters"]


def test_wandb_itself_finds_nothing_wrong():
    """By its own package `sweeps`, which wants numpy 1 and so is not among the pinned ones."""
    wandb_sweeps = pytest.importorskip("sweeps.config", reason="pip install sweeps")
    found = {
        path.name: wandb_sweeps.schema_violations_from_proposed_config(given(path))
        for path in SWEEPS
    }
    assert not any(found.values()), found
