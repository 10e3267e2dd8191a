"""The cell of README, followed to the letter in a copy, and the name of its run."""

import os
import re
import shutil
import subprocess
import sys
from typing import final

import pytest
import torch
import yaml

from charlab.cells.base import Cell, HiddenState
from charlab.config.compose import Composer
from charlab.engine import as_layer
from charlab.engine.cpu.build import find_compiler
from charlab.engine.reference import ReferenceLayer
from charlab.engine.trace import trace_cell
from charlab.run_names import run_name

from .running import ROOT, TINY, rows, write_names

README = (ROOT / "README.md").read_text("utf-8")
OWN_CELL = README.partition("## Write your own cell\n")[2].partition("\n## ")[0]
ENGINE = "compiled" if find_compiler() else "eager"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", OWN_CELL, re.DOTALL | re.MULTILINE)


def block_of(language, start):
    (block,) = [block for block in blocks(language) if block.startswith(start)]
    return block


def mgu(input_size, hidden_size):
    names = {}
    exec(block_of("python", "# src/charlab/cells/mgu.py"), names)
    return names["MGU"](input_size, hidden_size).double()


# ----------------------------------------------------------------------------------- its own cell
def test_the_cell_computes_its_equations():
    torch.manual_seed(0)
    cell = mgu(3, 4)
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


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("engine", ["auto", "eager", ENGINE])
def test_its_gradients_are_those_of_the_loop_over_steps(engine, cache):
    """In float64, over two chunks with the state carried, of everything that there is."""
    torch.manual_seed(0)
    cell, chunks = mgu(7, 33), torch.randn(2, 6, 5, 7, dtype=torch.float64)
    weights = torch.randn(2, 6, 5, 33, dtype=torch.float64)
    layer = as_layer(cell, engine, cache)
    assert layer.settle("cpu", torch.float64)[0] == (ENGINE if engine == "auto" else engine)

    def run(layer):
        x = chunks.clone().requires_grad_()
        state = first = type(zeros := layer.initial_state(5))(
            torch.full_like(zeros.h_BH, 0.3).requires_grad_()
        )
        outputs = []
        for chunk in x:
            y_TBH, state = layer(chunk, state)
            outputs.append(y_TBH)
        loss = (weights * torch.stack(outputs)).sum() + state.h_BH.square().sum()
        return *outputs, *state, *torch.autograd.grad(loss, (x, *first, *cell.parameters()))

    torch.testing.assert_close(run(layer), run(ReferenceLayer(cell)), rtol=1e-11, atol=1e-11)


FUNCTIONS = re.search(r"^- elementwise functions,.*?;$", OWN_CELL, re.DOTALL | re.MULTILINE)[0]


@pytest.mark.parametrize("name", re.findall(r"`([a-z]+)`", FUNCTIONS))
def test_the_functions_that_it_names_are_compiled(name):
    function = getattr(torch, name, None) or getattr(torch.nn.functional, name)
    arguments = {
        "clamp": lambda x, h: (x + h, -1, 1),
        "maximum": lambda x, h: (x, h),
        "minimum": lambda x, h: (x, h),
        "lerp": lambda x, h: (h, x, x.sigmoid()),
        "where": lambda x, h: (x > 0, x, h),
    }.get(name, lambda x, h: (x + h,))

    @final
    class OneFunction(Cell):
        gates = ("new",)

        def step(self, x_BG, state):
            return HiddenState(function(*arguments(x_BG, state.h_BH)))

    trace_cell(OneFunction(3, 4, "input"))


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A copy of the project with each file and row of the section where it says."""
    root = tmp_path_factory.mktemp("project")
    for folder in ("src/charlab", "conf", "tests/cells"):
        shutil.copytree(ROOT / folder, root / folder)
    for file in ("train.py", "pyproject.toml", "tests/__init__.py", "tests/conftest.py"):
        shutil.copy(ROOT / file, root / file)
    for block in [*blocks("python"), *blocks("yaml")]:
        if block.startswith("# "):
            path = block.partition("\n")[0].removeprefix("# ")
            assert path in ("src/charlab/cells/mgu.py", "conf/model/mgu.yaml")
            (root / path).write_text(block, "utf-8")

    def add(path, before, text):
        whole = (root / path).read_text("utf-8")
        place = whole.index(before)
        (root / path).write_text(whole[:place] + text + whole[place:], "utf-8")

    add("src/charlab/cells/__init__.py", '    "custom_rnn"', block_of("python", '    "mgu"'))
    add("tests/cells/table.py", "    *(\n        Row(\n", block_of("python", "    Row("))
    add("tests/cells/numpy_cells.py", "def run(", block_of("python", "def mgu") + "\n\n")
    return root


def call(root, *words):
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_who_follows_the_section_trains_the_cell(followed):
    names = write_names(followed)
    where = (f"data.path={names}", f"paths.runs={followed / 'runs'}", "paths.cache=cache")
    (command,) = re.findall(r"^python (train\.py model=mgu)$", OWN_CELL, re.MULTILINE)
    shown = call(followed, *command.split(), *TINY, *where)
    (record,) = followed.glob("runs/*/*/run.json")
    model = yaml.safe_load(record.read_text("utf-8"))["model"]
    assert model["num_params"] > 0
    assert model["engine"] == ENGINE
    assert re.search(rf"^engine +{ENGINE}\b", shown, re.MULTILINE)
    metrics = rows(record.with_name("metrics.jsonl"))
    losses = [row["train/loss"] for row in metrics if "train/loss" in row]
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.slow
def test_who_follows_the_section_has_conformance_tests(followed):
    (command,) = re.findall(r"`(pytest tests/cells -k mgu)`", OWN_CELL)
    told = call(followed, "-m", *command.split(), "-n", "0", "-p", "no:cacheprovider")
    assert int(re.search(r"(\d+) passed", told)[1]) >= 15


def test_the_run_that_it_shows_is_that_of_the_first_command():
    config = Composer(ROOT / "conf", "config", None).compose_job([])[1]
    shown = re.findall(r"^run directory +runs/names/(\S+)$", README, re.MULTILINE)
    assert shown == [run_name(config)]
