"""A run's config.yaml comes back as it was, typed, and mistakes in it or beside it are named."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from charlab.cells import CELLS
from charlab.config.compose import Composer
from charlab.config.load import FORMER, load_config, load_data, to_container
from charlab.config.schema import SCHEMAS
from charlab.errors import UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stored(command_line, tmp_path):
    """The config.yaml of a run of `overrides`."""

    def store(*overrides):
        config = command_line(*overrides).config
        path = tmp_path / "config.yaml"
        path.write_text(OmegaConf.to_yaml(config))
        return path, config

    return store


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("model=custom_gru", "model.reset=after", "scheduler=cosine"),
        ("experiment=notebook_names", "callbacks.samples.prompts=[' \"x\": #y', 'é']"),
        ("optimizer.eps=1e-8", "model.match_params=1e6", "data.path=null"),
    ],
)
def test_round_trip(stored, overrides):
    path, config = stored(*overrides)
    loaded = load_config(path)
    assert loaded == config
    for group in ("model", "data", "optimizer", "scheduler", "trainer"):
        assert OmegaConf.get_type(loaded[group]) is OmegaConf.get_type(config[group])


@pytest.fixture(scope="module")
def default_text():
    return OmegaConf.to_yaml(Composer(ROOT / "conf", "config", None).compose([]))


@pytest.fixture
def default_path(default_text, tmp_path):
    """The config.yaml of the default run."""
    path = tmp_path / "config.yaml"
    path.write_text(default_text)
    return path


def test_overrides(default_path):
    config = load_config(
        default_path,
        ["data.batch_size=3", "optimizer.lr=1e-2", 'callbacks.samples.prompts=["", " a"]'],
    )
    assert config.data.batch_size == 3
    assert config.optimizer.lr == 1e-2
    assert list(config.callbacks.samples.prompts) == ["", " a"]
    assert load_config(default_path, ["data.path=x=y"]).data.path == "x=y"


@pytest.mark.parametrize(
    ("override", "fragments"),
    [
        ("model.hiden_size=3", ["did you mean model.hidden_size?", "model.hiden_size=3"]),
        ("batch_size=3", ["did you mean data.batch_size?"]),
        (
            "model.reset=after",
            [
                "not an option of this model",
                "model=custom_gru",
                "leave it out: the run has model=gru",
            ],
        ),
        (
            "data.seq_len=3",
            ["data.seq_len is not an option of this data", "the run has data=names"],
        ),
        ("optimizer.lr=abc", ["optimizer.lr cannot be 'abc'", "a number > 0"]),
        ("data.batch_size=0", ["data.batch_size cannot be 0", "a whole number >= 1"]),
        ("data.batch_size=", ["data.batch_size cannot be"]),
        ("trainer.precision=bf17", ["did you mean bf16-mixed?"]),
        ("callbacks.samples.prompts=[a", ["callbacks.samples.prompts cannot be read"]),
        ("callbacks.samples.prompts=a", ["a list of texts"]),
        ("data", ["'data' is not an override"]),
        ("=3", ["'=3' is not an override"]),
        ("model.cell=lstm", ["model.cell is that of the run", "python train.py model=lstm makes"]),
        ("model=lstm", ["model is that of the run", "python train.py model=lstm makes another"]),
        ("group=${nope}", ["group refers to nope"]),
        ("logger.wandb=offline", ["logger.wandb is a section"]),
    ],
)
def test_mistaken_overrides(default_path, override, fragments):
    with pytest.raises(UsageError) as caught:
        load_config(default_path, [override])
    for fragment in fragments:
        assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("[1, 2]", "is not a configuration"),
        ("just words", "is not the configuration of a run"),
        ("a: [", "cannot be read"),
        ("a: 1\na: 2", "cannot be read"),
        ("", "is not the configuration of a run"),
        ("model: {cell: gru}", "is not the configuration of a run"),
        ("model: 3", "is not the configuration of a run"),
    ],
)
def test_files_that_are_no_configuration(tmp_path, text, fragment):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=fragment) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(path)


def test_a_folder_or_nothing(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        load_config(tmp_path / "config.yaml")
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(tmp_path)


def test_an_option_of_another_version(default_path):
    default_path.write_text(default_path.read_text().replace("hidden_size:", "hidden_units:"))
    with pytest.raises(UsageError, match=r"model\.hidden_units is not an option") as caught:
        load_config(default_path)
    assert str(default_path) in str(caught.value)
    assert "the version of charlab that made the run" in str(caught.value)


@pytest.mark.parametrize("name", FORMER)
def test_an_option_of_an_earlier_version_is_passed_over(default_text, tmp_path, name):
    stored = OmegaConf.create(default_text)
    OmegaConf.update(stored, name, False, force_add=True)
    path = tmp_path / "config.yaml"
    OmegaConf.save(stored, path)
    config = load_config(path)
    assert OmegaConf.select(config, name) is None
    assert config == OmegaConf.create(default_text)


def test_an_option_that_the_run_did_not_have_takes_its_default(default_path):
    config = load_config(default_path)
    default_path.write_text(default_path.read_text().replace("  num_layers: 1\n", ""))
    assert load_config(default_path) == config


def test_an_unknown_kind(default_path):
    default_path.write_text(default_path.read_text().replace("name: adamw", "name: lion"))
    with pytest.raises(UsageError, match="lion") as caught:
        load_config(default_path)
    assert caught.value.option == "optimizer.name"


def test_a_cell_without_a_schema_has_the_base_options(default_path, monkeypatch):
    monkeypatch.setitem(CELLS, "mine", ("a_module", "ACell"))
    default_path.write_text(default_path.read_text().replace("cell: gru", "cell: mine"))
    assert OmegaConf.get_type(load_config(default_path).model) is SCHEMAS["model/base"]


def test_to_container_holds_plain_values_alone(default_path):
    def walk(value):
        assert type(value) in (dict, list, str, int, float, bool, type(None))
        for item in value.values() if isinstance(value, dict) else value:
            if not isinstance(item, str):
                walk(item) if isinstance(item, dict | list) else None

    container = to_container(load_config(default_path))
    walk(container)
    assert container["group"] == "names"


@pytest.mark.parametrize(
    ("override", "fragments"),
    [
        (
            "data.seq_len=3",
            ["not an option of this data", "try       charlab data python_stdlib data.seq_len=3"],
        ),
        (
            "model.hidden_size=3",
            ["model.hidden_size is not an option of a data set", "data.* and paths.*"],
        ),
        ("data.seqlen=3", ["did you mean data.seq_len?"]),
        ("data.name=text", ["data.name is not an option of a data set", "named before them"]),
        ("recipe=names", ["recipe is not an option of a data set"]),
        ("model=lstm", ["model is not an option of a data set"]),
        ("paths=3", ["paths is a section with options of its own", "paths.runs, paths.cache"]),
    ],
)
def test_mistaken_overrides_of_a_data_set(override, fragments):
    with pytest.raises(UsageError) as caught:
        load_data("names", [override])
    for fragment in fragments:
        assert fragment in str(caught.value)
