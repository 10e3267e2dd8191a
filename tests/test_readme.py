"""The cell that README shows: its code as printed computes its equations, its YAML composes."""

import re

import pytest
import torch
from omegaconf import OmegaConf

from charlab.cells import CELLS
from charlab.config.compose import Composer
from charlab.engine.reference import ReferenceLayer

from .running import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def shown(language, path):
    (block,) = re.findall(rf"```{language}\n# {re.escape(path)}\n(.*?)```", README, re.DOTALL)
    return block


def test_the_cell_computes_its_equations():
    names = {}
    exec(shown("python", "src/charlab/cells/mgu.py"), names)
    torch.manual_seed(0)
    cell = names["MGU"](3, 4).double()
    x_TBI = torch.randn(5, 2, 3, dtype=torch.float64)
    layer = ReferenceLayer(cell)
    y_TBH, _ = layer(x_TBI, layer.initial_state(2))
    w_f, w_n = cell.input_linear.weight.chunk(2)
    b_f, b_n = cell.input_linear.bias.chunk(2)
    h = torch.zeros(2, 4, dtype=torch.float64)
    for x, y in zip(x_TBI, y_TBH, strict=True):
        f = torch.sigmoid(x @ w_f.T + b_f + h @ cell.recur_f.weight.T)
        n = torch.tanh(x @ w_n.T + b_n + (f * h) @ cell.recur_n.weight.T)
        h = (1 - f) * h + f * n
        torch.testing.assert_close(y, h)


def test_the_file_of_the_cell_composes(tmp_path, monkeypatch):
    monkeypatch.setitem(CELLS, "mgu", ("charlab.cells.mgu", "MGU"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mgu.yaml").write_text(shown("yaml", "conf/model/mgu.yaml"))
    config = Composer(ROOT / "conf", "config", tmp_path).compose(["model=mgu"])
    assert OmegaConf.to_container(config.model)["cell"] == "mgu"


@pytest.mark.parametrize("line", re.findall(r"^python train\.py(.*)$", README, re.MULTILINE))
def test_the_commands_of_readme_compose(line, tmp_path):
    words = [word for word in line.split("#")[0].split() if word not in ("--help", "-m")]
    words = [word for word in words if not word.startswith("data.path=")]
    composer = Composer(ROOT / "conf", "config", None)
    jobs = composer.jobs(words) if "-m" in line.split() else [words]
    assert all(composer.compose(job).model.cell in CELLS for job in jobs)
