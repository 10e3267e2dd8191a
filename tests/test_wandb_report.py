"""`charlab wandb-report`: the report that W&B's server is given."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charlab import wandb_report
from charlab.errors import UsageError

from .wandb_records import ServerRun
from .wandb_server import ENTITY, WandbServer

CHARLAB = Path(sys.executable).with_name("charlab")


@pytest.fixture
def server():
    with WandbServer() as server:
        server.runs["abc"] = ServerRun("abc", "charlab")
        yield server


def report(folder, env, *words):
    home = {"HOME": str(folder), "NETRC": str(folder / "netrc")}
    return subprocess.run(
        [CHARLAB, "wandb-report", *words],
        env={**os.environ, "WANDB_API_KEY": "", **home, **env},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_shows_a_group_by_cell(tmp_path, server):
    done = report(tmp_path, server.env, 'my "group"', "--title", "Cells")
    assert done.returncode == 0, done.stderr
    (view,) = server.views.values()
    assert done.stdout.strip() == f"{server.url}/{ENTITY}/charlab/reports/Cells--{view.id}"
    assert (view.type, view.project, view.title) == ("runs", "charlab", "Cells")
    (grid,) = (block for block in view.spec["blocks"] if block["type"] == "panel-grid")
    (runs,) = grid["metadata"]["runSets"]
    (only,) = runs["filters"]["filters"]
    assert (only["key"], only["op"], only["value"]) == (
        {"section": "run", "name": "group"},
        "=",
        'my "group"',
    )
    # a configuration is kept as {"model": {"value": {"cell": ...}}}
    assert runs["grouping"] == [{"section": "config", "name": "model.value.cell"}]
    panels = grid["metadata"]["panelBankSectionConfig"]["panels"]
    curves = [
        (panel["config"]["xAxis"], panel["config"]["metrics"])
        for panel in panels
        if panel["viewType"] == "Run History Line Plot"
    ]
    assert curves == [
        ("trainer/global_step", ["val/bpc"]),
        ("progress/chars_seen", ["val/bpc"]),
        ("progress/seconds", ["val/bpc"]),
        ("trainer/global_step", ["perf/chars_per_s"]),
    ]
    (bars,) = (panel["config"] for panel in panels if panel["viewType"] == "Bar Chart")
    assert (bars["metrics"], bars["groupBy"]) == (["test/bpc"], "model.value.cell")
    kinds = [panel["viewType"] for panel in panels]
    assert kinds.count("Run Comparer") == 1
    assert '"samples"' in str(panels[kinds.index("Weave")]).replace("'", '"')
    assert server.unknown == set()


def test_without_credentials_it_says_what_it_needs(tmp_path):
    done = report(tmp_path, {}, "cells")
    assert done.returncode == 2
    assert "a W&B report needs credentials" in done.stderr
    assert "WANDB_API_KEY" in done.stderr
    assert "try       wandb login" in done.stderr


def test_what_the_server_refuses_is_one_error(tmp_path, server):
    wrong = {**server.env, "WANDB_API_KEY": "9" * 40}
    done = report(tmp_path, wrong, "cells")
    assert done.returncode == 1
    assert "W&B's server did not take the report" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_its_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(wandb_report, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install .*'\.\[wandb-report\]'"):
        wandb_report.wandb_report_command.callback("cells", "charlab", None, None)
