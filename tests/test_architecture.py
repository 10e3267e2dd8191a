"""Dependencies point one way: rules about the imports of every module, and their sizes."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
MAX_LINES = 300

# part of charlab -> all it may import of charlab besides itself
MAY_IMPORT = {
    "types": [],
    "errors": [],
    "files": ["errors"],
    "terminal": ["errors"],
    "cells": ["types"],
    "engine": ["types", "cells", "errors", "files"],
    # a cell -> its program -> code for a device; what runs knows nothing of what chooses it
    "engine.program": [],
    "engine.runner": [],
    "engine.op": ["engine.runner"],
    "engine.skeleton": ["cells"],
    "engine.contract": ["cells", "errors"],
    "engine.reference": ["types", "cells"],
    "engine.probe": ["cells", "engine.skeleton"],
    "engine.eager": [
        "cells",
        "engine.probe",
        "engine.products",
        "engine.runner",
        "engine.skeleton",
        "engine.step_back",
    ],
    "engine.cpu": [
        "errors",
        "files",
        "engine.keep",
        "engine.program",
        "engine.runner",
        "engine.skeleton",
    ],
    "engine.gpu": ["engine.keep", "engine.program", "engine.runner", "engine.skeleton"],
    "model": ["types", "cells", "engine", "errors", "config.schema"],
    "metrics": ["types"],
    "sampling": ["types", "errors"],
    "optim": ["config.schema"],
    "evaluation": ["types", "metrics", "model"],
    "claims": ["errors"],
    "rows": ["errors"],
    "not_a_run": ["errors"],
    "provenance": [],
    "run_names": [],
    "runs": ["errors", "claims", "rows", "not_a_run", "provenance", "run_names"],
    "found": ["claims", "runs"],
    "resume": ["errors", "claims", "found", "run_names", "runs"],
    "stopping": ["processes"],
    "checkpoint": ["errors", "model", "rows"],
    "world": [],
    "dynamic": ["types", "metrics", "model", "evaluation"],
    "processes": [],
    "exchange": [],
    "grace": [],
    "ranks": ["errors", "grace", "world", "exchange", "runs"],
    "cores": [],
    "memory": ["errors", "config.schema"],
    "launch": ["cores", "grace", "exchange", "processes", "ranks", "runs"],
    "picture": ["errors"],
    "data": ["types", "errors", "files", "picture", "world", "config.schema_data"],
    "diagnostics": ["types", "cells", "engine.reference", "model"],
    "lifeline": ["grace"],
    "fitted_table": [],
    "reading": ["config.nearest", "errors", "found", "rows", "runs"],
    "reading.row_files": ["rows"],
    "tracking": ["errors", "checkpoint", "config.schema_output", "reading.row_files", "runs"],
    # what draws while it trains knows nothing of where that is shown
    "callbacks.histograms": ["callbacks.clock", "lit"],
    "arguments": [],
    "leet": ["arguments", "errors", "reading"],
    "wandb_report": ["errors"],
    "plot": ["arguments", "errors", "picture", "reading", "rows", "runs"],
    "compare": [
        "arguments",
        "errors",
        "fitted_table",
        "reading",
        "rows",
        "run_names",
        "terminal",
    ],
    # what is said of scores knows nothing of where runs are
    "compare.statistics": [],
    "compare.comparison": ["reading"],
    "compare.sentences": ["compare.comparison"],
    "compare.pairs": ["compare.comparison", "compare.sentences", "compare.statistics"],
    "compare.export": ["compare.comparison", "rows"],
    "listing": ["arguments", "errors", "fitted_table", "found", "reading", "rows", "terminal"],
    "sweeps.jobs": ["found", "run_names"],
    "sweeps.share": ["cores", "errors"],
    "sweeps.progress": ["errors", "rows", "runs", "sweeps.jobs"],
    "sweeps.attempt": ["errors", "lifeline", "processes", "terminal", "sweeps.jobs"],
    "sweeps.entry": ["terminal", "sweeps.attempt", "sweeps.jobs", "sweeps.progress"],
    "sweeps.table": ["fitted_table", "sweeps.entry"],
    "sweeps.ending": ["errors", "claims", "found", "runs", "sweeps.jobs"],
    "sweeps.report": [
        "fitted_table",
        "terminal",
        "sweeps.attempt",
        "sweeps.ending",
        "sweeps.entry",
        "sweeps.jobs",
        "sweeps.table",
    ],
    "sweeps.task": ["errors", "grace", "processes", "runs", "sweeps.attempt", "sweeps.jobs"],
    "sweeps.definition": ["errors", "config"],
    "sweeps.definition.quantiles": [],
    "sweeps.definition.distributions": ["sweeps.definition.quantiles"],
    "sweeps.search.scores": ["reading.row_files"],
    "sweeps.search.tuning": ["sweeps.definition"],
    "sweeps.search.turns": ["sweeps.jobs"],
    "sweeps.slurm": [
        "errors",
        "found",
        "processes",
        "runs",
        "sweeps.ending",
        "sweeps.entry",
        "sweeps.jobs",
    ],
    # the command line lists the jobs of a sweep and hands them to a launcher; it runs none
    "config": [
        "errors",
        "files",
        "terminal",
        "lifeline",
        "resume",
        "cells",
        "data.check",
        "sweeps.jobs",
        "sweeps.report",
        "sweeps.task",
    ],
}

# package -> the only places that may import it, at any depth of the code
ONLY_IN = {
    "hydra": ["charlab.config", "hydra_plugins", "train"],
    "plotly": ["charlab.compare.page"],
    "jinja2": ["charlab.compare.page"],
    "charlab.compare.page": ["charlab.compare.page", "charlab.compare.command"],
    "wandb": ["charlab.tracking", "charlab.wandb_report"],
    "wandb_workspaces": ["charlab.wandb_report"],
    "triton": ["charlab.engine.gpu"],
    "matplotlib": ["charlab.picture", "charlab.plot"],
    "optuna": ["charlab.sweeps.definition.distributions", "charlab.sweeps.search"],
    "submitit": ["charlab.sweeps.slurm.queue"],
}

# modules that load none of these when they are imported, so that a mistake shows in a second
HEAVY = ["torch", "pytorch_lightning", "wandb"]
LIGHT = [
    "charlab",
    "charlab.errors",
    "charlab.leet",
    "charlab.wandb_report",
    "charlab.picture",
    "charlab.files",
    "charlab.config",
    "charlab.cells",  # the table alone, not the cells
    "charlab.runs",
    "charlab.found",
    "charlab.claims",
    "charlab.resume",
    "charlab.resume_command",
    "charlab.run_config",
    "charlab.stopping",
    "charlab.processes",
    "charlab.cores",
    "charlab.exchange",
    "charlab.ranks",
    "charlab.launch",
    "charlab.lifeline",
    "charlab.grace",
    "charlab.cli",
    "charlab.data.names",
    "charlab.data.vocabulary",
    "charlab.data.symbols",
    "charlab.data.floors",
    "charlab.data.stream_corpus",
    "charlab.data.stream_floors",
    "charlab.data.describe_stream",
    "charlab.data.mapped",
    "charlab.data.lanes",
    "charlab.data.check",
    "charlab.world",
    "charlab.data.ngram",
    "charlab.data.ngram_floors",
]
# packages whose modules are all light, not only their __init__
LIGHT_THROUGHOUT = [
    "charlab.compare",
    "charlab.config",
    "charlab.listing",
    "charlab.plot",
    "charlab.reading",
    "charlab.sweeps",
    "hydra_plugins",
]
ENTRIES = ["charlab.config.entry", "charlab.cli", "charlab.data.names", "charlab.runs"]


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(SOURCE.glob("**/*.py"))}
FILES["train"] = ROOT / "train.py"


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def in_any(module: str, packages: list[str]) -> bool:
    return any(is_in(module, package) for package in packages)


def imported(tree: ast.AST, at_import_only: bool) -> Iterator[str]:
    """Modules that the code imports: `from a import b` is a.b where that is a module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None and node.level == 0, "charlab imports by full names"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in FILES else node.module
        elif not (at_import_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield from imported(node, at_import_only)


@cache
def imports_of(name: str, *, at_import_only: bool = False) -> frozenset[str]:
    tree = ast.parse(FILES[name].read_text(encoding="utf-8"))
    return frozenset(imported(tree, at_import_only))


def test_the_rules_are_about_modules_that_exist():
    """A module that is renamed takes its rule with it."""
    parts = {f"charlab.{part}" for rule in MAY_IMPORT.items() for part in (rule[0], *rule[1])}
    only_in = {place for places in ONLY_IN.values() for place in places}
    named = parts | only_in | {*LIGHT, *LIGHT_THROUGHOUT, *ENTRIES}
    assert {name for name in named if not any(is_in(file, name) for file in FILES)} == set()
    assert in_any("charlab.data.names", ["charlab.data"])
    assert not in_any("charlab.database", ["charlab.data"])


def test_imports_are_read_wherever_they_stand():
    code = """
import a.b, c as d
from charlab import runs, __version__
if x:
    from e.f import g
class C:
    import h
    def method(self):
        import i
def function():
    from charlab.data import names
"""
    everywhere = set(imported(ast.parse(code), at_import_only=False))
    at_import = {"a.b", "c", "charlab.runs", "charlab", "e.f", "h"}
    assert everywhere == at_import | {"i", "charlab.data.names"}
    assert set(imported(ast.parse(code), at_import_only=True)) == at_import


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_arrows_point_one_way(part):
    """Also inside functions: an arrow is an arrow whenever it is followed."""
    allowed = [f"charlab.{other}" for other in (part, *MAY_IMPORT[part])]
    for name in FILES:
        if is_in(name, f"charlab.{part}"):
            own = {module for module in imports_of(name) if is_in(module, "charlab")} - {"charlab"}
            assert {module for module in own if not in_any(module, allowed)} == set(), name


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_package_has_its_only_importers(package):
    importers = {
        name for name in FILES if any(is_in(module, package) for module in imports_of(name))
    }
    assert {name for name in importers if not in_any(name, ONLY_IN[package])} == set()
    assert importers, "nobody imports it: the rule can go"


def light_modules() -> list[str]:
    return [name for name in FILES if name in LIGHT or in_any(name, LIGHT_THROUGHOUT)]


@pytest.mark.parametrize("name", light_modules())
def test_light_modules_import_nothing_heavy(name):
    found = imports_of(name, at_import_only=True)
    assert {module for module in found if in_any(module, HEAVY)} == set()


def loaded_by(code: str) -> list[str]:
    """What of HEAVY a process has loaded after some code, what its imports import too."""
    code = f"import sys\n{code}\nprint(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("entry", ENTRIES)
def test_light_entries_load_nothing_heavy(entry):
    assert loaded_by(f"import {entry}") == []


def test_drawing_samples_waits_for_torch_alone():
    assert loaded_by("import charlab.restore, charlab.sampling") == ["torch"]


def test_working_scores_out_again_waits_not_for_wandb():
    assert "wandb" not in loaded_by("import charlab.rescore")


@pytest.mark.parametrize("name", FILES)
def test_a_module_holds_one_subject(name):
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) <= MAX_LINES
