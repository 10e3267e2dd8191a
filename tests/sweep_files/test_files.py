"""What a sweep file may say, and what is said of one that is wrong."""

from pathlib import Path

import pytest

from charlab.errors import UsageError
from charlab.sweeps.definition.files import METRICS, read_sweep_file
from charlab.sweeps.definition.hyperband import Hyperband
from charlab.sweeps.definition.strict_yaml import read_yaml

from ..running import ROOT, STREAM, rows, train
from .making import COMMAND, LR, SWEEP, planned, space_of, write_sweep

HYPERBAND = {"type": "hyperband", "min_iter": 1}


def logged_by(folder, *overrides):
    folder.mkdir()
    code, run = train(folder, *overrides, "trainer.max_steps=30", "callbacks.samples.enabled=false")
    assert code == 0
    return {name for row in rows(run / "metrics.jsonl") for name in row}


def test_the_metrics_of_a_sweep_are_those_that_runs_log(tmp_path):
    """Of a run on names and of one on the characters of a text, each over an epoch or more."""
    (tmp_path / "text.txt").write_text("one word after another, é\n" * 400)
    text = (*STREAM, f"data.path={tmp_path / 'text.txt'}", "data.symbols=chars")
    logged = logged_by(tmp_path / "names") | logged_by(tmp_path / "text", *text)
    measured = ("val/", "train/", "epoch/", "perf/")
    assert set(METRICS) == {name for name in logged if name.startswith(measured)}


def with_x(content):
    return {"parameters": {"group": {"value": "g"}, "optimizer.lr": content}}


WRONG = [
    ({"methd": "grid"}, ["'methd', which is unknown; did you mean method?"]),
    ({"scheduler": {"engine": "optuna"}}, ["'scheduler', which is unknown"]),
    ({"method": None}, ["method is null", "one of grid, random, bayes"]),
    ({"method": "byes"}, ["method is 'byes'; did you mean bayes?"]),
    ({"program": None}, ["it has no program"]),
    ({"program": "trian.py"}, ["program trian.py is not here", "cd to the folder of train.py"]),
    ({"command": None}, ["its command does not start train.py", "${args_no_hyphens}"]),
    ({"command": [*COMMAND[:-1], "${args}"]}, ["its command does not start train.py"]),
    ({"command": [*COMMAND, "--verbose"]}, ["its command does not start train.py"]),
    ({"run_cap": 0}, ["run_cap is of another type", "a whole number >= 1"]),
    ({"run_cap": "many"}, ["run_cap is of another type", "'many'"]),
    ({"metric": "val/bpc"}, ["metric is of another form", "metric: {name: val/bpc"]),
    ({"metric": {"name": "val_bpc"}}, ["'val_bpc' is not logged; did you mean val/bpc?"]),
    ({"metric": {"name": "train/nats_per_name"}}, ["is not logged", "one of val/bpc, val/loss"]),
    ({"metric": {"name": "test/bpc"}}, ["a score on test: choices are made on validation"]),
    ({"metric": {"name": "val/bpc", "goal": "min"}}, ["goal is 'min'; did you mean minimize?"]),
    ({"metric": {"name": "val/bpc", "target": "low"}}, ["metric.target is no number", "'low'"]),
    ({"metric": {"name": "val/bpc", "impute": "best"}}, ["metric is of another form"]),
    ({"method": "bayes", "metric": None}, ["it has no metric", "method: bayes"]),
    ({"early_terminate": HYPERBAND, "metric": None}, ["it has no metric", "early_terminate"]),
    ({"early_terminate": {"type": "median"}}, ["is of type median", "type: hyperband"]),
    ({"early_terminate": {"type": "hyperband"}}, ["no first or last rung", "max_iter and s"]),
    ({"early_terminate": {**HYPERBAND, "max_iter": 9, "s": 1}}, ["no first or last rung"]),
    ({"early_terminate": {**HYPERBAND, "min_iters": 3}}, ["min_iters", "did you mean min_iter?"]),
    ({"early_terminate": {**HYPERBAND, "min_iter": 0}}, ["min_iter 0", "a whole number >= 1"]),
    ({"early_terminate": {**HYPERBAND, "eta": 1}}, ["eta 1", "more than 1"]),
    ({"early_terminate": {**HYPERBAND, "eta": "3"}}, ["eta 3", "a number"]),
    ({"early_terminate": {**HYPERBAND, "strict": "yes"}}, ["strict yes", "true or false"]),
    ({"early_terminate": {"type": "hyperband", "max_iter": 9}}, ["s None", "a whole number"]),
    (
        {"early_terminate": {"type": "hyperband", "max_iter": 2, "s": 3}},
        ["no rung of one iteration or more"],
    ),
    ({"early_terminate": "hyperband"}, ["early_terminate is of another form", "a mapping"]),
    ({"parameters": None}, ["parameters has no parameters"]),
    ({"parameters": {}}, ["parameters has no parameters"]),
    ({"parameters": {"seed": 3}}, ["parameters.seed has no distribution", "{value: 3}"]),
    ({"parameters": {"seed": [1, 2]}}, ["parameters.seed", "{values: [1, 2]}"]),
    (with_x({}), ["parameters.optimizer.lr has no values"]),
    (with_x({"distribution": "lognormal"}), ["'lognormal'; did you mean log_normal"]),
    (with_x({"min": 0.1}), ["lacks max", "min and max for uniform"]),
    (with_x({"min": 0.1, "max": 0.1}), ["has an empty range", "min below max"]),
    (with_x({"min": "1e-4", "max": 0.1}), ["has a text for min", "to YAML 1e-3 is a text"]),
    (with_x({"min": True, "max": 3}), ["has another min", "a number"]),
    (with_x({"min": 0.5, "max": float("inf")}), ["has another max", "a number"]),
    (
        with_x({"distribution": "int_uniform", "min": 0.5, "max": 3}),
        ["has another min", "a whole number"],
    ),
    (with_x({"min": 1, "max": 3, "mn": 2}), ["has mn, which int_uniform does not take"]),
    (with_x({"values": [1], "q": 2}), ["has q, which categorical does not take"]),
    (with_x({"min": 0, "max": 1, "q": 0.1}), ["has q, which int_uniform does not take"]),
    (with_x({**LR, "min": 0}), ["has min 0", "more than 0 for log_uniform_values"]),
    (
        with_x({"distribution": "log_uniform", "min": 1, "max": 1000}),
        ["larger than any number", "log_uniform takes exponents of e"],
    ),
    (with_x({"distribution": "normal", "sigma": -1}), ["has sigma -1", "0 or more"]),
    (with_x({"distribution": "q_normal", "q": 0}), ["has q 0", "more than 0"]),
    (with_x({"distribution": "beta", "a": 0}), ["has a 0", "more than 0"]),
    (with_x({"distribution": ["x"], "min": 0, "max": 1}), ["has no distribution ['x']"]),
    (with_x({"min": 0, "max": 100, 3: 4}), ["has 3, which int_uniform does not take"]),
    ({"parameters": {5: {"value": 3}}}, ["parameters.5 is no name of an option"]),
    (with_x({"parameters": {5: {"value": 3}}}), ["parameters.optimizer.lr.5 is no name"]),
    (with_x({"values": []}), ["has no values", "a list, such as [1, 2]"]),
    (with_x({"values": 3}), ["has no values"]),
    (with_x({"values": [1, 2, 1]}), ["has the value 1 twice"]),
    (with_x({"values": [1, 2], "probabilities": [0.5, 0.6]}), ["with the sum 1"]),
    (with_x({"values": [1, 2], "probabilities": [1.0]}), ["one for each value"]),
    # what W&B's agents would hand on as something else
    (with_x({"value": None}), ["cannot be null in a sweep", "hand on 'None'"]),
    (with_x({"values": [0.1, None]}), ["cannot be null in a sweep"]),
    (with_x({"value": [1, 2]}), ["cannot be [1, 2] in a sweep", "conf/experiment/"]),
    (with_x({"value": {"a": 1}}), ["cannot be {'a': 1} in a sweep"]),
    (with_x({"value": "a,b"}), ["cannot be 'a,b' in a sweep", "without quotes"]),
    (with_x({"value": ""}), ["cannot be '' in a sweep"]),
    (with_x({"value": float("nan")}), ["cannot be nan", "finite numbers"]),
    (
        {"method": "grid", **with_x(LR)},
        ["parameters.optimizer.lr has endlessly many values", "method: random"],
    ),
    (
        {"method": "bayes", **with_x({"values": [1, 2], "probabilities": [0.5, 0.5]})},
        ["has probabilities, which a search by scores does not keep to"],
    ),
]


@pytest.mark.parametrize(("changes", "fragments"), WRONG, ids=lambda x: str(x)[:50])
def test_mistakes_in_a_file_are_told(tmp_path, changes, fragments):
    path = write_sweep(tmp_path, **changes)
    with pytest.raises(UsageError) as caught:
        read_sweep_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert all(fragment in str(caught.value) for fragment in fragments), str(caught.value)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("method: grid\n", "the key method twice, in lines 2 and "),
        ("x: {min: 0, max: 1, min: 2}\n", "the key min twice"),
    ],
)
def test_a_key_that_is_there_twice(tmp_path, more, told):
    path = write_sweep(tmp_path)
    path.write_text(path.read_text() + more)
    with pytest.raises(UsageError, match=told) as caught:
        read_sweep_file(path)
    assert str(caught.value).startswith(f"{path} has ")


def test_what_is_merged_may_be_overruled(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert read_yaml(path)["b"] == {"x": 3, "y": 2}


@pytest.mark.parametrize("content", ["a: 2024-13-45", "[" * 5000], ids=["date", "deep"])
def test_what_yaml_itself_stumbles_over(tmp_path, content):
    path = tmp_path / "a.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"a\.yaml cannot be read"):
        read_yaml(path)


LARGE = [{"min": 0, "max": 10**9}, {"distribution": "q_uniform", "min": 0, "max": 1, "q": 1.0e-12}]


@pytest.mark.parametrize("content", LARGE, ids=["whole", "steps"])
@pytest.mark.parametrize("num_trials", [None, 3])
def test_a_grid_without_bounds_is_refused_at_once(tmp_path, content, num_trials):
    changes = {"method": "grid", "run_cap": None, "parameters": {"seed": content}}
    with pytest.raises(UsageError, match=r"combinations is too large\n.*at most 100,000"):
        planned(tmp_path, num_trials=num_trials, **changes)
    with pytest.raises(UsageError, match=r"--per seed: it has .* values"):
        planned(tmp_path, num_trials=3, per="seed", **changes)


def test_the_first_of_a_large_grid_are_made_alone(tmp_path):
    parameters = {name: {"min": 1, "max": 90_000} for name in ("model.hidden_size", "seed")}
    changes = {"method": "grid", "run_cap": None, "parameters": parameters}
    sweep = planned(tmp_path, num_trials=3, **changes)
    assert [job.config["seed"] for job in sweep.jobs] == [1, 2, 3]
    with pytest.raises(UsageError, match=r"8,100,000,000 combinations"):
        planned(tmp_path, **changes)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("hydra.launcher.workers=3", "--workers 3"),
        ("hydra.launcher.gpus_per_job=2", "--gpus-per-job 2"),
        ("hydra/launcher=slurm", "--workers N"),
    ],
)
def test_options_of_hydra_are_refused(tmp_path, typed, hint):
    with pytest.raises(UsageError, match="has no effect on `charlab sweep`") as caught:
        planned(tmp_path, typed)
    assert caught.value.hint == hint


def test_files_that_are_none(tmp_path, monkeypatch):
    write_sweep(tmp_path)
    with pytest.raises(UsageError, match=r"there is no file .*no.yaml\n.*one of .*sweep.yaml"):
        read_sweep_file(tmp_path / "no.yaml")
    with pytest.raises(UsageError, match=rf"\n +try +charlab sweep {tmp_path}/sweep.yaml"):
        read_sweep_file(tmp_path / "swep.yaml")
    monkeypatch.chdir(ROOT)
    for name in ("cells_names.yaml", "cells_names", "sweeps/cells_names", "cells_names.yml"):
        with pytest.raises(UsageError) as caught:
            read_sweep_file(Path(name))
        assert caught.value.hint == "charlab sweep sweeps/cells_names.yaml"
    with pytest.raises(UsageError) as caught:
        read_sweep_file(Path("sweeps/zzzzzzzz.yaml"))
    assert caught.value.hint == ""
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(UsageError, match=r"bad.yaml cannot be read: .*\n.*YAML in UTF-8"):
        read_sweep_file(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(UsageError, match="it is no sweep"):
        read_sweep_file(tmp_path / "list.yaml")


@pytest.mark.parametrize(
    ("parameters", "fragments"),
    [
        ({"model.hiden_size": {"value": 3}}, ["did you mean model.hidden_size?"]),
        ({"learning_rate": {"value": 3}}, ["learning_rate is not an option", "optimizer.lr"]),
        ({"model": {"values": ["gru", "gur"]}}, ["job 2: model has no choice 'gur'"]),
        ({"model.hidden_size": {"values": [8, 0]}}, ["job 2: model.hidden_size cannot be 0"]),
        ({"model.hidden_size": {"value": "big"}}, ["job 1: model.hidden_size cannot be 'big'"]),
        ({"model.cell": {"value": "gru"}}, ["model.cell is set by model=CHOICE"]),
    ],
)
def test_parameters_have_to_be_those_of_the_configuration(tmp_path, parameters, fragments):
    with pytest.raises(UsageError) as caught:
        planned(tmp_path, method="grid", run_cap=None, parameters=parameters)
    assert all(fragment in str(caught.value) for fragment in fragments), str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "fragment"),
    [
        ({"model.dropout": {"min": 0.0, "max": 1.0}}, "model.dropout=1.0: model.dropout cannot"),
        ({"model.hidden_size": {"min": 8, "max": 9.5}}, "the least values: model.hidden_size"),
        ({"model": {"values": ["gru", "x"]}}, "model=x: model has no choice 'x'"),
        (
            {"optimizer.lr": {"distribution": "q_uniform", "min": 0.01, "max": 0.5, "q": 0.1}},
            "the least values: optimizer.lr cannot be 0.0",
        ),
        ({"optimizer.lr": {"distribution": "normal"}}, "optimizer.lr cannot be -3.09023"),
    ],
)
def test_the_ends_of_a_range_are_tried_before_anything_starts(tmp_path, parameters, fragment):
    with pytest.raises(UsageError) as caught:
        planned(tmp_path, parameters=parameters)
    assert fragment in str(caught.value), str(caught.value)


def test_a_grid_is_in_the_order_of_wandb(tmp_path):
    """By the names of parameters, however the file has them; the last one changes fastest."""
    parameters = {
        "seed": {"values": [1, 0]},
        "group": {"value": "g"},
        "model": {"values": ["lstm", "gru"]},
        "optimizer": {"parameters": {"lr": {"values": [0.1]}}},
    }
    sweep = planned(tmp_path, method="grid", run_cap=3, parameters=parameters)
    runs = f"paths.runs={tmp_path / 'runs'}"
    assert [job.overrides for job in sweep.jobs] == [
        ("group=g", f"model={cell}", "optimizer.lr=0.1", f"seed={seed}", runs)
        for cell, seed in (("lstm", 1), ("lstm", 0), ("gru", 1))
    ]


def test_what_is_typed_takes_the_place_of_a_parameter(tmp_path):
    command = [*COMMAND[:3], "trainer=cpu", COMMAND[3]]
    parameters = {"group": {"value": "g"}, "seed": {"values": [0, 1]}}
    sweep = planned(
        tmp_path, "seed=7", "model=lstm", method="grid", command=command, parameters=parameters
    )
    (job,) = sweep.jobs
    runs = f"paths.runs={tmp_path / 'runs'}"
    assert job.overrides == ("trainer=cpu", "group=g", "seed=7", runs, "model=lstm")
    assert job.config["seed"] == 7
    assert job.config["model"]["cell"] == "lstm"
    assert job.config["trainer"]["accelerator"] == "cpu"


def test_truth_is_written_as_hydra_has_it(tmp_path):
    parameters = {"model.layer_norm": {"values": [True, False]}}
    sweep = planned(tmp_path, method="grid", parameters=parameters)
    assert [job.config["model"]["layer_norm"] for job in sweep.jobs] == [True, False]
    assert sweep.jobs[0].overrides[0] == "model.layer_norm=true"


def test_one_option_has_one_distribution(tmp_path):
    parameters = {"optimizer.lr": LR, "optimizer": {"parameters": {"lr": LR}}}
    with pytest.raises(UsageError, match=r"parameters\.optimizer\.lr is there twice"):
        read_sweep_file(write_sweep(tmp_path, parameters=parameters))


def test_what_is_left_out_has_the_values_of_wandb(tmp_path):
    file = read_sweep_file(
        write_sweep(tmp_path, metric=None, early_terminate=None, method="random", run_cap=None)
    )
    assert (file.metric.name, file.metric.goal, file.metric.target) == ("val/bpc", "minimize", None)
    assert file.hyperband is None
    assert file.num_trials is None
    file = read_sweep_file(
        write_sweep(tmp_path, early_terminate={"type": "hyperband", "max_iter": 27, "s": 2})
    )
    assert file.hyperband == Hyperband((3, 9), 3, True)


def test_a_search_is_named_by_all_that_it_depends_on(tmp_path):
    def name(*typed, seed=0, **changes):
        (cell,) = planned(tmp_path, *typed, seed=seed, **changes).parts
        return cell.study_name

    assert name() == name(run_cap=20) == name("paths.cache=elsewhere")
    reordered = {"parameters": dict(reversed(SWEEP["parameters"].items()))}
    assert name() == name(**reordered)
    others = [
        name(),
        name(seed=1),
        name(method="bayes"),
        name("model=lstm"),
        name("optimizer.lr=0.1"),
        name(metric={"name": "val/loss"}),
        name(early_terminate=HYPERBAND),
        name(parameters={"optimizer.lr": {**LR, "max": 0.2}}),
    ]
    assert len(set(others)) == len(others)


def test_an_override_that_is_none_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"did you mean model\.hidden_size"):
        space_of(tmp_path, "model.hiden_size=3").check()
    with pytest.raises(UsageError, match="has several values"):
        space_of(tmp_path, "seed=1,2").check()


def test_what_all_jobs_have_is_known_from_the_first_one_on(tmp_path):
    parameters = {
        "model": {"values": ["gru", "lstm"]},
        "optimizer.lr": LR,
        "seed": {"value": 3},
        "trainer.precision": {"values": ["32-true", "64-true"]},
    }
    space = space_of(tmp_path, "trainer.precision=64-true", "group=mine", parameters=parameters)
    values = {"model": "gru", "optimizer.lr": 0.1, "seed": 3, "trainer.precision": "64-true"}
    constant = {"seed=3", "trainer.precision=64-true", "group=mine"}
    for part in (space, space.with_value("model", "gru")):
        job = part.job(values)
        assert set(job.overrides) - job.shared == {"model=gru", "optimizer.lr=0.1"}
        assert job.shared >= constant
