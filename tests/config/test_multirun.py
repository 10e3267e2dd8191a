"""`-m` multiplies the command line out, checks every job, and has a launcher start them."""

import json
import subprocess
import sys
import time

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext

from charlab.config.compose import Composer
from charlab.config.load import to_container
from charlab.errors import UsageError

# Stands for train.py: a job notes what it is in its run directory.
SCRIPT = """
import json, os
from pathlib import Path
from charlab.config.entry import run
from charlab.config.load import to_container
from charlab.run_names import run_name

def job(config, overrides, asked):
    path = Path(config.paths.runs, config.group, run_name(to_container(config)))
    path.mkdir(parents=True)
    seen = {"pid": os.getpid(), "overrides": list(overrides), "seed": config.seed,
            "prompts": list(config.callbacks.samples.prompts), "size": config.model.hidden_size,
            "once": asked.once, "retry_failed": asked.retry_failed}
    (path / "run.json").write_text(json.dumps({"status": "finished", "seen": seen}))

run(job, __file__)
"""


def test_each_job_in_a_process_of_its_own(conf_copy):
    folder = conf_copy.parent
    (folder / "train.py").write_text(SCRIPT)
    (folder / "extra" / "experiment").mkdir(parents=True)
    (folder / "extra" / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 8\n")
    (conf_copy / "other.yaml").write_text((conf_copy / "config.yaml").read_text() + "seed: 7\n")
    before = set(folder.rglob("*"))

    argv = ["-cn", "other", "--config-dir", "extra", "experiment=mine,kantrowitz", "-m"]
    prompts = """["", " Trump", "a,b='c'"]"""
    argv += ["model.hidden_size=9", f"callbacks.samples.prompts={prompts}", "--retry-failed"]
    argv += ["hydra.launcher.workers=2", "group=g"]
    command = [sys.executable, "train.py", *argv]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60)

    assert (result.returncode, result.stderr) == (0, "")
    assert "2 jobs, 2 at a time" in result.stdout
    assert "[1/2] finished experiment=mine" in result.stdout
    made = [path for path in set(folder.rglob("*")) - before if path.is_file()]
    records = [json.loads(path.read_text()) for path in made if path.name == "run.json"]
    jobs = sorted((record["seen"] for record in records), key=lambda seen: seen["seed"])
    assert [(job["seed"], job["size"]) for job in jobs] == [(7, 9), (8, 9)]
    assert all(job["prompts"] == ["", " Trump", "a,b='c'"] for job in jobs)
    assert all(job["once"] and job["retry_failed"] for job in jobs)
    assert jobs[0]["pid"] != jobs[1]["pid"]
    # what concerns the sweep is not passed on to its jobs, and Hydra has written nothing
    assert not any("hydra" in override for job in jobs for override in job["overrides"])
    assert {path.suffix for path in made} == {".json", ".log"}


def test_a_dry_run_lists_the_jobs_and_starts_none(command_line, tmp_path):
    argv = ("-m", "model=gru,lstm", "seed=3,4", f"paths.runs={tmp_path / 'runs'}", "--dry-run")
    result = command_line(*argv)
    assert (result.exit_code, result.err, result.jobs) == (0, "", [])
    lines = result.out.splitlines()
    assert [line.split()[1:4] for line in lines[1:5]] == [
        [f"model={model}", f"seed={seed}", "new"] for model in ("gru", "lstm") for seed in (3, 4)
    ]
    assert lines[5] == f"4 jobs; runs in {tmp_path / 'runs' / 'names'}"
    assert not (tmp_path / "runs").exists()


def test_100_jobs_are_checked_in_seconds(root):
    """A process's own seconds, which a busy machine does not stretch."""
    composer = Composer(root / "conf", "config", None)
    lines = composer.jobs(["seed=range(0,50)", "model=gru,lstm", "optimizer.lr=1e-3"])
    assert len(lines) == 100
    began_s = time.process_time()
    configs = [composer.compose(line) for line in lines]
    assert time.process_time() - began_s < 5  # 1 s measured; 15 s where Hydra composes each
    assert [config.seed for config in configs[::2]] == list(range(50))
    assert {config.model.cell for config in configs[1::2]} == {"lstm"}


def test_jobs_of_one_choice_do_not_touch_each_other(root, conf_copy):
    """They come from one composed configuration."""
    composer = Composer(root / "conf", "config", None)
    first = composer.compose(["model={hidden_size:3}", "callbacks.samples.prompts=[x]"])
    second = composer.compose(["model={num_layers:2}", "group=${model.cell}"])
    third = composer.compose([])
    assert (first.model.hidden_size, first.model.num_layers) == (3, 1)
    assert (second.model.hidden_size, second.model.num_layers, second.group) == (128, 2, "gru")
    assert (third.model.num_layers, third.group) == (1, "names")
    assert list(first.callbacks.samples.prompts) == ["x"]
    assert third == Composer(conf_copy, "config", None).compose([])


@pytest.mark.parametrize(
    ("line", "fragments"),
    [
        ("-m seed=0,1 hydra.launcher.workers=1,2", ["hydra.launcher.workers has several values"]),
        ("-m seed=0,1 hydra/launcher=local,slurm", ["hydra/launcher has several values"]),
        ("-m seed=0,1 hydra.launcher.workers=0", ["hydra.launcher.workers cannot be 0", ">= 1"]),
        ("-m seed=0,1 hydra/launcher=slurm hydra.launcher.workers=2 --dry-run",
         ["hydra.launcher.workers is not an option of this launcher", "hydra/launcher=local"]),
        ("-m seed=0,1 hydra/sweeper=other", ["hydra/sweeper has no effect"]),
        ("-m seed=0,1 --once", ["--once is for one run"]),
        ("seed=0 --dry-run", ["--dry-run goes with -m"]),
        ("seed=0 --retry-failed", ["--retry-failed goes with --once, or with -m", "leave it out"]),
    ],
)  # fmt: skip
def test_mistakes(command_line, line, fragments):
    result = command_line(*line.split(" "))
    assert (result.exit_code, result.out, result.jobs) == (2, "", [])
    for fragment in fragments:
        assert fragment in result.err


def test_options_of_the_launcher_do_no_harm_without_m(command_line):
    plain = command_line("seed=3").config
    assert command_line("seed=3", "hydra.launcher.workers=2").config == plain
    assert command_line("seed=3", "hydra/launcher=slurm", "hydra.launcher.qos=x").config == plain


class Recording(Launcher):
    """A launcher that is not ours: it calls the task function with each job's configuration."""

    def setup(self, *, hydra_context, task_function, config):
        assert isinstance(hydra_context, HydraContext)
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides, initial_job_idx):
        assert initial_job_idx == 0
        returned = []
        for overrides in job_overrides:
            config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
            del config._content["hydra"]
            try:
                self.task(config)
                returned.append(JobReturn(status=JobStatus.COMPLETED))
            except Exception as error:
                returned.append(JobReturn(status=JobStatus.FAILED, _return_value=error))
        return returned


@pytest.fixture
def other_launcher(monkeypatch):
    monkeypatch.setattr(Plugins, "is_in_toplevel_plugins_module", lambda self, name: True)
    Plugins.instance().register(Recording)
    target = f"{Recording.__module__}.{Recording.__name__}"
    store = ConfigStore.instance()
    store.store(group="hydra/launcher", name="other", node={"_target_": target})
    yield
    del store.repo["hydra"]["launcher"]["other.yaml"]


@pytest.mark.slow
def test_other_launchers_start_a_process_for_each_job(conf_copy, command_line, other_launcher):
    folder = conf_copy.parent
    failing = SCRIPT.replace("path.mkdir", "assert config.seed != 1; path.mkdir")
    (folder / "train.py").write_text(failing)
    argv = ["-m", "seed=0,1,2", "hydra/launcher=other", f"paths.runs={folder / 'runs'}"]
    result = command_line(*argv, folder=folder)
    assert (result.exit_code, result.jobs) == (1, [])
    states = [line.split()[1:3] for line in result.out.splitlines()[1:4]]
    assert states == [["seed=0", "finished"], ["seed=1", "new"], ["seed=2", "finished"]]
    records = [json.loads(file.read_text()) for file in folder.glob("runs/*/*/run.json")]
    assert sorted(record["seen"]["seed"] for record in records) == [0, 2]
    assert len({record["seen"]["pid"] for record in records}) == 2
    logs = [path.read_text() for path in folder.glob("runs/names/logs/*.log")]
    assert sum("AssertionError" in log for log in logs) == 1


def test_other_launchers_tell_jobs_of_one_name_apart(conf_copy, command_line, other_launcher):
    folder = conf_copy.parent
    (folder / "train.py").write_text(SCRIPT)
    runs = [str(folder / name) for name in ("a", "b")]
    argv = ["-m", f"paths.runs={','.join(runs)}", "hydra/launcher=other"]
    assert command_line(*argv, folder=folder).exit_code == 0
    assert [len(list(folder.glob(f"{name}/*/*/run.json"))) for name in ("a", "b")] == [1, 1]


def test_our_launchers_run_no_other_program(root):
    composer = Composer(root / "conf", "config", None)
    with pytest.raises(UsageError, match=r"LocalLauncher runs the jobs of charlab's train\.py"):
        composer.launch(lambda config: None, [["seed=0"]], ["seed=0"])


def test_a_launcher_that_is_not_installed(root, conf_copy):
    (conf_copy / "hydra" / "launcher").mkdir()
    file = conf_copy / "hydra" / "launcher" / "mine.yaml"
    file.write_text("_target_: hydra_plugins.nothing.Launcher\n")
    composer = Composer(conf_copy, "config", None)
    with pytest.raises(UsageError, match=r"(?s)the launcher mine cannot be had.*one of local, sl"):
        composer.launch(lambda config: None, [["seed=0"]], ["seed=0", "hydra/launcher=mine"])


def test_a_sweep_in_a_file(conf_copy):
    (conf_copy / "experiment" / "sizes.yaml").write_text(
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      model.hidden_size: 8,9\n"
        "  launcher:\n    workers: 3\n"
    )
    composer = Composer(conf_copy, "config", None)
    jobs = composer.jobs(["experiment=sizes", "model=gru,lstm", "hydra.launcher.gpus_per_job=2"])
    assert jobs == [
        [f"model.hidden_size={size}", "experiment=sizes", f"model={model}"]
        for size in (8, 9)
        for model in ("gru", "lstm")
    ]
    assert composer.compose_unchecked(["experiment=sizes"], "multirun").hydra.launcher.workers == 3


def test_folders_to_search_are_those_of_each_job(root, tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 8\n")
    search = f"hydra.searchpath=[file://{tmp_path}]"
    composer = Composer(root / "conf", "config", None)
    jobs = composer.jobs([search, "experiment=mine", "model=gru,lstm"])
    assert jobs[1] == [search, "experiment=mine", "model=lstm"]
    assert composer.compose(jobs[1]).seed == 8


def test_the_values_of_a_sweep(root):
    sweeps = {
        "model=glob(custom_*)": ["custom_gru", "custom_lstm", "custom_rnn"],
        "seed=range(0,6,2)": ["0", "2", "4"],
        "group='a b','c,d'": ["'a b'", "'c,d'"],
        "data.path=null": ["null"],
        "callbacks.samples.prompts=[a],[b,' c']": ["[a]", "[b,' c']"],
    }
    for override, values in sweeps.items():
        name = override.partition("=")[0]
        jobs = Composer(root / "conf", "config", None).jobs([override])
        assert jobs == [[f"{name}={value}"] for value in values]


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["experiment=notebook_enwik8_gru", "data.verify=false"],
        ["group=x${seed}", "callbacks.samples.prompts=['${group}',b]"],
        ["model=lstm", "model={num_layers:2}", "optimizer.lr=${model.forget_bias}"],
    ],
)
def test_the_plain_form_of_a_job_is_its_configuration(root, line):
    config, plain = Composer(root / "conf", "config", None).compose_job(line)
    assert plain == to_container(config)
