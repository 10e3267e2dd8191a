"""Each range of the schema is enforced, and so are the rules between options."""

import copy
import math
from functools import cache

import pytest
from omegaconf import OmegaConf

from charlab.cells import CELLS
from charlab.config.checks import check
from charlab.config.options import all_options, value_type
from charlab.config.schema import SCHEMAS, Config
from charlab.errors import UsageError


def typed(schemas):
    return copy.deepcopy(_typed(tuple(schemas.items())))


@cache
def _typed(schemas):
    config = OmegaConf.structured(Config)
    for group, name in {
        "model": "base",
        "data": "names",
        "optimizer": "adamw",
        "scheduler": "one_cycle",
        **dict(schemas),
    }.items():
        config[group] = OmegaConf.structured(SCHEMAS[f"{group}/{name}"])
        config[group]["cell" if group == "model" else "name"] = "gru" if name == "base" else name
    config.trainer.max_epochs = 3
    OmegaConf.resolve(config)
    return config


def config_with(name):
    option = all_options()[name]
    owners = dict(schema.split("/") for schema in option.schemas)
    return typed(owners)


RANGED = [
    name
    for name, option in all_options().items()
    if {"ge", "gt", "le", "lt", "choices"} & option.field.metadata.keys()
]


def beyond(limits, is_int):
    """Values just outside each limit."""

    def step(limit):
        return 1 if is_int else 1e-9 * max(1, abs(limit))

    values = []
    if "ge" in limits:
        values.append(limits["ge"] - step(limits["ge"]))
    if "gt" in limits:
        values.append(limits["gt"])
    if "le" in limits:
        values.append(limits["le"] + step(limits["le"]))
    if "lt" in limits:
        values.append(limits["lt"])
    if "choices" in limits:
        values.append("nonsense")
    return values


@pytest.mark.parametrize("name", RANGED)
def test_values_beyond_a_limit_are_refused_by_name(name):
    field = all_options()[name].field
    kind = value_type(field)
    for value in beyond(field.metadata, kind.item is int):
        config = config_with(name)
        OmegaConf.update(config, name, [value] if kind.is_list else value)
        with pytest.raises(UsageError, match=name.replace(".", r"\.")) as caught:
            check(config)
        assert caught.value.option == name
        assert caught.value.expected
        assert str(value) in caught.value.what + caught.value.got


@pytest.mark.parametrize("name", RANGED)
def test_values_at_a_closed_limit_are_accepted(name):
    field = all_options()[name].field
    at_limit = [field.metadata[key] for key in ("ge", "le") if key in field.metadata]
    for value in [*at_limit, *field.metadata.get("choices", ())]:
        config = config_with(name)
        OmegaConf.update(config, name, [value] if value_type(field).is_list else value)
        check(config)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_are_finite(value):
    config = typed({})
    config.trainer.gradient_clip = value
    with pytest.raises(UsageError, match=r"trainer\.gradient_clip"):
        check(config)


def test_one_item_of_a_list_is_enough_to_refuse_it():
    config = typed({})
    config.callbacks.samples.temperatures = [1.0, -1.0]
    with pytest.raises(UsageError, match=r"cannot be -1\.0") as caught:
        check(config)
    assert caught.value.got == "[1.0, -1.0]"


def test_training_has_an_end():
    config = typed({})
    config.trainer.max_epochs = None
    with pytest.raises(UsageError, match="nothing says when training ends"):
        check(config)
    config.trainer.max_steps = 1
    check(config)


def test_a_kind_fits_the_options_of_its_section():
    config = typed({})
    config.model.cell = "custom_gru"
    with pytest.raises(UsageError, match="model=custom_gru has the schema of another choice") as e:
        check(config)
    assert "/schema/model/custom_gru@_here_" in e.value.expected


def test_a_cell_without_a_schema_of_its_own_has_the_base_options(monkeypatch):
    monkeypatch.setitem(CELLS, "a_new_cell", ("a_module", "ACell"))
    config = typed({})
    config.model.cell = "a_new_cell"
    check(config)


@pytest.mark.parametrize("group", ["../up", "/absolute", "a//b", "", "a b", ".hidden", "a/.."])
def test_a_group_stays_under_the_folder_of_runs(group):
    config = typed({})
    config.group = group
    with pytest.raises(UsageError, match="is not a folder under"):
        check(config)


def test_a_cell_that_is_not_in_the_table():
    config = typed({})
    config.model.cell = "lstn"
    with pytest.raises(UsageError, match=r"model\.cell=lstn is not a cell; did you mean lstm\?"):
        check(config)


def test_missing_values():
    config = typed({})
    config.optimizer.lr = "???"
    with pytest.raises(UsageError, match=r"optimizer\.lr has no value"):
        check(config)
    config = OmegaConf.structured(Config(group="a"))
    with pytest.raises(UsageError, match="model has no value"):
        check(config)


def test_a_section_without_a_schema():
    config = typed({})
    config.model = OmegaConf.create({"cell": "gru"})
    with pytest.raises(UsageError, match="has no schema") as caught:
        check(config)
    assert "base" in caught.value.expected
