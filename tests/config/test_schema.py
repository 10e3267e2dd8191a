"""The schema and conf/ agree: every file composes, and the defaults are those that are promised."""

from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from charlab.config.options import KIND_OPTION, all_options, expected, schema_name, value_type
from charlab.config.schema import SCHEMAS, Config

CONF = Path(__file__).parents[2] / "conf"
CHOICES = [
    f"{file.parent.name}={file.stem}"
    for file in sorted(CONF.glob("*/*.yaml"))
    if file.parent.name != "hydra"
]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_file_composes_and_passes_the_checks(command_line, choice):
    group, _, name = choice.partition("=")
    needs = [f"data.path={__file__}"] if choice == "data=text" else []
    config = command_line(choice, *needs).config
    if group in KIND_OPTION:
        kind = config[group][KIND_OPTION[group]]
        assert OmegaConf.get_type(config[group]) is SCHEMAS[schema_name(group, kind)]
    if group == "data":  # each has a recipe, which says how long to train
        assert (CONF / "recipe" / f"{name}.yaml").exists()
        assert config.trainer.max_epochs is not None
    if group == "model":
        assert config.model.cell == name


def test_default_run(command_line):
    config = command_line().config
    assert OmegaConf.get_type(config) is Config
    assert (config.data.name, config.model.cell) == ("names", "gru")
    assert (config.optimizer.name, config.scheduler.name) == ("adamw", "one_cycle")
    assert config.trainer.max_steps is None
    assert config.group == "names"


def test_notebook_names(command_line):
    config = command_line("experiment=notebook_names").config
    assert config.model.cell == "custom_rnn"
    assert (config.model.nonlinearity, config.model.bias) == ("relu", "input")
    assert (config.model.embedding_size, config.model.hidden_size) == (16, 64)
    assert (config.model.dropout, config.model.init) == (0, "torch")
    assert (config.optimizer.name, config.optimizer.lr) == ("adam", 1e-3)
    assert config.scheduler.name == "constant"
    assert (config.trainer.max_steps, config.trainer.max_epochs) == (1000, None)
    assert config.trainer.gradient_clip == 0
    assert config.data.batch_size == 32
    assert list(config.callbacks.samples.prompts) == ["", " Trump"]
    assert config.callbacks.samples.every_n_steps == 100


def test_an_experiment_gives_way_to_the_command_line_and_to_debug(command_line):
    config = command_line("experiment=notebook_names", "debug=fast", "model.hidden_size=5").config
    assert config.model.hidden_size == 5
    assert config.trainer.max_steps == 20
    assert config.logger.wandb.mode == "disabled"


@pytest.mark.parametrize("folder", ["experiment", "debug"])
def test_the_first_comment_of_an_experiment_is_its_command(folder):
    for file in (CONF / folder).glob("*.yaml"):
        package, command, *_ = file.read_text("utf-8").splitlines()
        assert package == "# @package _global_"
        assert f"{command} ".startswith(f"# python train.py {folder}={file.stem} ")


def test_files_state_no_value_that_the_schema_has_already():
    for file in CONF.glob("*/*.yaml"):
        group = file.parent.name
        stated = yaml.safe_load(file.read_text("utf-8"))
        if group in KIND_OPTION:
            kind = stated.pop(KIND_OPTION[group])
            stated.pop("defaults")
            defaults = {f.name: f.default for f in fields(SCHEMAS[schema_name(group, kind)])}
            assert all(float(v) != defaults[k] for k, v in stated.items()), file


def test_every_option_has_help_and_words_for_its_values():
    for name, option in all_options().items():
        assert option.field.metadata["help"], name
        assert expected(option.field), name
        assert value_type(option.field).item in (int, float, bool, str), name


def test_one_option_has_one_type_in_all_choices():
    for group in KIND_OPTION:
        types: dict[str, object] = {}
        for name, schema in SCHEMAS.items():
            if name.startswith(f"{group}/"):
                for f in fields(schema):
                    assert types.setdefault(f.name, f.type) == f.type


def test_the_configuration_is_read_only(command_line):
    config = command_line().config
    with pytest.raises(Exception, match="read-only"):
        config.seed = 3


def test_values(command_line):
    prompts = ["", " a,b=c'd", "[x]"]
    expected_values = {
        "optimizer.lr=1e-3": 1e-3,
        "optimizer.eps=1": 1.0,
        "model.match_params=1.2e6": 1.2e6,
        "seed=0": 0,
        "model.hidden_size=${model.embedding_size}": 32,
        "group=${model.cell}-${seed}": "gru-0",
        """callbacks.samples.prompts=["", " a,b=c'd", "[x]"]""": prompts,
        "callbacks.samples.temperatures=[0,1e-1]": [0.0, 0.1],
        "logger.wandb.tags=[]": [],
        "trainer={max_steps:3}": {"max_steps": 3},
        "trainer.max_epochs=null": None,
    }
    config = command_line(*expected_values).config
    for override, value in expected_values.items():
        got = OmegaConf.select(config, override.partition("=")[0])
        if isinstance(value, dict):
            assert got.items() >= value.items()
        else:
            assert got == value
            assert isinstance(got, type(value)) or OmegaConf.is_list(got)


def test_floats_of_files(command_line, conf_copy):
    (conf_copy / "optimizer" / "mine.yaml").write_text(
        "defaults: [/schema/optimizer/adam@_here_, _self_]\nname: adam\nlr: 1e-3\neps: 1e-8\n"
    )
    config = command_line("optimizer=mine", folder=conf_copy.parent).config
    assert (config.optimizer.lr, config.optimizer.eps) == (1e-3, 1e-8)


def test_one_more_folder_of_choices(command_line, tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 7\n")
    assert command_line("--config-dir", str(tmp_path), "experiment=mine").config.seed == 7


def test_flags_and_overrides_in_any_order(command_line):
    result = command_line("seed=1", "--cfg", "job", "model=lstm", "-p", "model")
    assert result.exit_code == 0
    assert result.out.startswith("cell: lstm\n")


def test_cfg_job_prints_the_composed_yaml(command_line):
    result = command_line("--cfg", "job", "model.hidden_size=7")
    shown = OmegaConf.create(result.out)
    assert shown.model.hidden_size == 7
    assert OmegaConf.to_container(shown, resolve=False)["group"] == "${data.name}"
    assert not result.jobs
    resolved = OmegaConf.create(command_line("--cfg", "job", "--resolve").out)
    assert OmegaConf.to_container(resolved, resolve=False)["group"] == "names"
