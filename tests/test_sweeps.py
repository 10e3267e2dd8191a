"""Every sweep file is one that W&B takes, and every combination of it composes."""

from itertools import product

import pytest
import yaml

from charlab.config.compose import Composer

from .running import ROOT

SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))


def jobs(sweep):
    """The overrides of each run of a grid, as `${args_no_hyphens}` writes them."""
    choices = [
        [f"{name}={value}" for value in given.get("values", [given.get("value")])]
        for name, given in sweep["parameters"].items()
    ]
    return [list(job) for job in product(*choices)]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_the_sweep_starts_train_py_with_overrides(path):
    sweep = yaml.safe_load(path.read_text())
    assert (ROOT / sweep["program"]).name == "train.py"
    assert sweep["command"][-1] == "${args_no_hyphens}"
    assert sweep["method"] in ("grid", "random", "bayes")
    assert sweep["metric"] == {"name": "val/bpc", "goal": "minimize"}


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_combination_composes(path):
    composer = Composer(ROOT / "conf", "config", None)
    found = jobs(yaml.safe_load(path.read_text()))
    assert len(found) > 1
    configs = [composer.compose(job) for job in found]
    assert len({str(config) for config in configs}) == len(found)
