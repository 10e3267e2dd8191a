"""Every mistake has one clear message: the option's full name, what was expected, what came."""

import contextlib
import shlex
from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charlab.config.compose import Composer
from charlab.config.mistakes import guess_names
from charlab.config.options import all_options
from charlab.config.overrides import parse
from charlab.errors import UsageError

# The command line, and what its message has to say.
MISTAKES = [
    # unknown options
    ("model.hiden_size=3", "did you mean model.hidden_size?", "got       model.hiden_size=3",
     "try       model.hidden_size=3", "an option of model: hidden_size"),
    ("hidden_size=3", "did you mean model.hidden_size?", "try       model.hidden_size=3"),
    ("lr=0.1", "did you mean optimizer.lr?", "try       optimizer.lr=0.1"),
    ("wandb.mode=offline", "did you mean logger.wandb.mode?", "logger.wandb.mode=offline"),
    ("model={hiden_size:3}", "did you mean model.hidden_size?"),
    ("model.hidden_size.foo=3", "model.hidden_size.foo is not an option"),
    ("a.b.c=3", "a.b.c is not an option", "python train.py --help"),
    ("model.reset=after", "model.reset is not an option of this model", "model=custom_gru",
     "try       model=custom_gru model.reset=after"),
    ("model=rnn model.forget_bias=1", "model=lstm or model=custom_lstm"),
    ("optimizer=adam optimizer.weight_decay=0.1", "optimizer=adamw"),
    # wrong types
    ("optimizer.lr=abc", "optimizer.lr cannot be 'abc'", "expected  a number > 0"),
    ("model.hidden_size=1.5", "model.hidden_size cannot be 1.5", "a whole number >= 1"),
    ("trainer.max_epochs=1e3", "did you mean 1000?", "a whole number >= 1, or null"),
    ("trainer.test=maybe", "trainer.test cannot be 'maybe'", "true or false"),
    ("model.hidden_size=null", "model.hidden_size cannot be null", "a whole number >= 1"),
    ("model.hidden_size=", "model.hidden_size cannot be ''", "a whole number >= 1"),
    ("model={hidden_size:abc}", "model.hidden_size cannot be 'abc'"),
    ("logger.wandb=disabled", "logger.wandb is a section", "logger.wandb.mode"),
    # out of range, wrong choice
    ("model.hidden_size=0", "model.hidden_size cannot be 0", "a whole number >= 1"),
    ("model.hidden_size=99999999999", "a whole number >= 1 and <= 1,000,000",
     "try       model.hidden_size=128"),
    ("model.hidden_size=1e20", "model.hidden_size cannot be 1e+20",
     "try       model.hidden_size=128"),
    ("model.match_params=1e20", "a number > 0 and <= 1,000,000,000,000, or null"),
    ("trainer.devices=100000", "a whole number >= 1 and <= 1,000", "try       trainer.devices=1"),
    ("seed=-1", "seed cannot be -1", "try       seed=0"),
    ("data.batch_size=-1", "data.batch_size cannot be -1", "a whole number >= 1"),
    ("trainer.precision=bf17", "did you mean bf16-mixed?", "try       trainer.precision=bf16-mixed",
     "one of 32-true, bf16-mixed, 16-mixed, 64-true"),
    # lists
    ("callbacks.samples.temperatures=[1,-1]", "callbacks.samples.temperatures cannot be -1.0",
     "a list of numbers >= 0", "got       [1.0, -1.0]"),
    ("callbacks.samples.temperatures=[1,abc]", "callbacks.samples.temperatures cannot be 'abc'"),
    ("callbacks.samples.temperatures=1,2", "callbacks.samples.temperatures=[1,2]"),
    ("callbacks.samples.temperatures[0]=1", "is not an override"),
    ("callbacks.samples.prompts=abc", "callbacks.samples.prompts cannot be 'abc'",
     "a list of texts"),
    ("callbacks.samples.prompts=[[a]]", "callbacks.samples.prompts cannot be ['a']"),
    ("callbacks.samples.prompts=[null]", "callbacks.samples.prompts cannot be null"),
    ("callbacks.samples.prompts={a:1}", "callbacks.samples.prompts"),
    # groups and choices
    ("model=custom_gur", "model has no choice 'custom_gur'; did you mean custom_gru?",
     "one of custom_gru, custom_lstm, custom_rnn, gru, ", "try       model=custom_gru"),
    ("modle=gru", "modle is not an option; did you mean model?", "try       model=gru"),
    ("experiment=kantrowits", "did you mean kantrowitz?", "kantrowitz, notebook_enwik8_custom_gru"),
    ("model=null", "model has no choice null"),
    ("recipe=nmes", "recipe has no choice 'nmes'; did you mean names?", "try       recipe=names"),
    ("model=3", "model has no choice 3"),
    ("data=", "data has no choice ''", "one of enwik8, enwik8_chars, names, python_stdlib, text"),
    ("model=[gru,lstm]", "model has no choice ['gru', 'lstm']"),
    ("model=gru,lstm", "model has several values", "try       -m model=gru,lstm"),
    ("model@data=gru", "model cannot be put elsewhere"),
    ("schema/model=gru", "schema/model"),
    ("model.cell=lstm", "model.cell is set by model=CHOICE", "try       model=lstm"),
    # what cannot be read
    ("model", "'model' is not an override", "OPTION=VALUE"),
    ("seed", "'seed' is not an override", "try       seed=VALUE"),
    ("=3", "'=3' is not an override"),
    ("callbacks.samples.prompts=[a", "callbacks.samples.prompts cannot be read",
     "brackets and quotes in pairs"),
    ("data.path=a(1).txt", "data.path cannot be read", "'data.path=\"a(1).txt\"'"),
    ("group='a", "group cannot be read"),
    ("group=my(1)/b", "group cannot be read", "try       group=my_1/b"),
    ("group=${", "group"),
    ("--lr 3", "--lr is not a flag", "try       optimizer.lr=VALUE"),
    ("--model.hidden_size=3", "try       model.hidden_size=3"),
    ("--cfg jobs", "invalid choice: 'jobs'"),
    ("--cfg job -p modle", "modle is not a section; did you mean model?"),
    ("--config-name cofnig", "did you mean config?"),
    ("--config-dir /no/such/folder", "there is no folder /no/such/folder"),
    ("-sc", "subcommand"),
    # adding and deleting
    ("+new.key=1", "new.key is not an option", "got       +new.key=1"),
    ("+model.hidden_size=3", "model.hidden_size is there already", "try       model.hidden_size=3"),
    ("++model.foo=3", "model.foo is not an option"),
    ("~model", "model cannot be deleted"),
    ("~callbacks.samples", "callbacks.NAME.enabled=false"),
    # Hydra's own
    ("hydra.run.dir=x", "hydra.run.dir has no effect", "paths.runs"),
    ("hydra/launcher=slrum", "hydra/launcher has no choice 'slrum'; did you mean slurm?", "local"),
    ("+hydra/launcher=slurm", "hydra/launcher can be set, and neither added nor deleted"),
    ("~hydra.launcher.workers", "hydra.launcher.workers can be set, and neither added nor deleted"),
    ("hydra.launcher.workers=0", "hydra.launcher.workers cannot be 0", "a whole number >= 1"),
    ("hydra.launcher.workers=two", "hydra.launcher.workers cannot be 'two'", "whole number >= 1"),
    ("hydra.launcher.worker=2", "hydra.launcher.worker is not an option; did you mean"
     " hydra.launcher.workers?", "gpus_per_job", "hydra.launcher.workers=2"),
    ("hydra.launcher.qos=high", "hydra.launcher.qos is not an option of this launcher",
     "hydra/launcher=slurm hydra.launcher.qos=high"),
    ("workers=2", "workers is not an option; did you mean hydra.launcher.workers?"),
    ("hydra.launcher={workers:2,gpus:1}", "hydra.launcher.gpus is not an option"),
    ("hydra.searchpath=[/no/such/folder]", "/no/such/folder is not available"),
    # references
    ("seed=${sede}", "seed refers to sede, which is not an option; did you mean seed?"),
    ("seed=${seed}", "seed cannot be worked out"),
    ("seed=${oc.env:CHARLAB_NO_SUCH_VARIABLE}", "seed cannot be worked out",
     "CHARLAB_NO_SUCH_VARIABLE"),
    ("model.hidden_size=${group}", "model.hidden_size cannot be worked out"),
    # rules between options
    ("trainer.max_epochs=null", "nothing says when training ends", "trainer.max_steps"),
    ("data.val_fraction=0.5 data.test_fraction=0.5", "data.val_fraction + data.test_fraction < 1"),
    ("data.path=no/such/file.txt", "no/such/file.txt", "data.path"),
    # sweeps
    ("-m model.hidden_size=8,0", "job 2 of 2: model.hidden_size cannot be 0"),
    ("-m model=gru,gur", "job 2 of 2: model has no choice 'gur'; did you mean gru?"),
    ("-m seed=interval(0,1)", "seed has endlessly many values"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "fragments"), [(row[0], row[1:]) for row in MISTAKES])
def test_mistakes(command_line, line, fragments):
    result = command_line(*line.split(" "))
    assert (result.exit_code, result.out, result.jobs) == (2, "", [])
    assert result.err.startswith("error: ")
    assert "Traceback" not in result.err
    for fragment in fragments:
        assert fragment in result.err


# A misspelt name, and what it is taken for.
GUESSES = [
    ("learning_rate", "optimizer.lr"),
    ("trainer.epochs", "trainer.max_epochs"),
    ("trainer.lr", "optimizer.lr"),
    ("callbacks.sampels.seed", "callbacks.samples.seed"),
    ("callbacks.samples.promts", "callbacks.samples.prompts"),
    ("samples.every_n_steps", "callbacks.samples.every_n_steps"),
    ("model/hidden_size", "model.hidden_size"),
    ("modle.hiden_size", "model.hidden_size"),
    ("MODEL.HIDDEN_SIZE", "model.hidden_size"),
    ("batch", "data.batch_size"),
    ("layers", "model.num_layers"),
    ("cell", "model"),
    ("expriment", "experiment"),
    ("optim", "optimizer"),
    ("wandb", "logger.wandb"),
]


@pytest.mark.parametrize(("name", "meant"), GUESSES)
def test_guesses(name, meant):
    assert guess_names(name) == [meant]


@pytest.mark.parametrize("name", ["", "x", "a.b.c", "model.qqq", "nonsense"])
def test_no_guess_is_better_than_a_wild_one(name):
    assert guess_names(name) == []


def test_names_that_tie_are_all_named(command_line):
    result = command_line("name=3")
    assert "did you mean data, optimizer or scheduler?" in result.err


# A file of conf/, its text, and what the message has to say when it is taken as an experiment.
BAD_FILES = [
    ("model:\n  hiden_size: 3\n", "model.hiden_size is not an option; did you mean",
     "hiden_size in conf/experiment/mine.yaml"),
    ("model:\n  hidden_size: many\n", "model.hidden_size cannot be 'many'", "conf/experiment/mine"),
    ("model:\n  hidden_size: 0\n", "model.hidden_size cannot be 0"),
    ("modle:\n  hidden_size: 3\n", "modle is not an option; did you mean model?"),
    ("group: ${data.nmae}\n", "group refers to data.nmae"),
    ("seed: 3\nmodel: [\n", "conf/experiment/mine.yaml, line 4 is not YAML", "the end of the file"),
    ("seed: 3\n\tmodel: 3\n", "conf/experiment/mine.yaml, line 3 is not YAML"),
    ("seed: 3\nseed: 4\n", "conf/experiment/mine.yaml, line 3", "duplicate key"),
    ("- seed\n", "mine"),
    ("seed\n", "seed"),
    ("group: ${\n", "group"),
    ("defaults:\n  - override /model: gur\n", "did you mean gru?",
     "model=gur in conf/experiment/mine.yaml"),
    ("defaults:\n  - override /modle: gru\n", "modle", "conf/experiment/mine.yaml"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "fragments"), [(row[0], row[1:]) for row in BAD_FILES])
def test_mistakes_in_files(command_line, conf_copy, text, fragments):
    (conf_copy / "experiment" / "mine.yaml").write_text("# @package _global_\n" + text)
    result = command_line("experiment=mine", folder=conf_copy.parent)
    assert (result.exit_code, result.out, result.jobs) == (2, "", [])
    for fragment in fragments:
        assert fragment in result.err


def test_a_model_file_without_a_schema(command_line, conf_copy):
    (conf_copy / "model" / "mine.yaml").write_text("cell: mine\n")
    result = command_line("model=mine", folder=conf_copy.parent)
    assert result.exit_code == 2
    assert "the chosen file of conf/model/ has no schema" in result.err


def test_the_choices_that_have_an_option_are_those_of_conf(command_line, conf_copy):
    text = (conf_copy / "model" / "custom_gru.yaml").read_text()
    (conf_copy / "model" / "my_gru.yaml").write_text(text)
    result = command_line("model.reset=after", folder=conf_copy.parent)
    assert "model=custom_gru or model=my_gru" in result.err


def test_a_traceback_on_demand(command_line, monkeypatch):
    monkeypatch.setenv("CHARLAB_DEBUG", "1")
    result = command_line("model=gur")
    assert result.exit_code == 2
    assert "Traceback" in result.err


NAMES = st.sampled_from([*all_options(), "model", "experiment", "nonsense", "hydra.x", "", "~seed"])
VALUES = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.text(alphabet="[]{}(),:='\"\\$ ab1.~@-/\n\u00e9", max_size=10),
)
LOADER = ConfigLoaderImpl(create_config_search_path(None))
LINES = st.one_of(st.builds("{}={}".format, NAMES, VALUES), st.text(min_size=1, max_size=20))


@settings(max_examples=100, deadline=None)
@given(line=LINES)
def test_any_override_is_read_or_refused(line):
    with contextlib.suppress(UsageError):
        parse([line], "run", LOADER, {"model": ["gru"]})


# Each example is a run of its own, so one fixture may serve them all.
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(line=st.builds("{}={}".format, NAMES, VALUES))
def test_no_override_ends_in_a_traceback(command_line, line):
    if not line.startswith("-"):
        assert command_line(line).exit_code in (0, 2)


# --------------------------------------------------------------------------------------- its advice
CONF = Path(__file__).parents[2] / "conf"
WRONG = (
    "abc",
    "-1",
    "0.0",
    "-1e3",
    "1e30",
    "1.5",
    "null",
    "a,b",
    "[-1]",
    "{a:1}",
    "true",
    "x(y",
    "''",
)


def choices_with(option):
    """What has to be typed for an option to be there, for each schema that has it."""
    group = option.name.partition(".")[0]
    for schema in option.schemas or ("",):
        kind = {"": "", "base": "gru"}.get(schema.partition("/")[2], schema.partition("/")[2])
        yield [f"{group}={kind}"] * bool(kind) + ["data.path=README.md"] * (kind == "text")


@pytest.mark.parametrize("name", all_options())
def test_what_is_advised_can_be_typed(name, monkeypatch):
    monkeypatch.chdir(CONF.parent)
    composer = Composer(CONF, "config", None)
    for words in choices_with(all_options()[name]):
        for value in WRONG:
            try:
                composer.compose([*words, f"{name}={value}"])
            except UsageError as error:
                advice = shlex.split(error.hint)
            else:
                continue
            if advice and advice[0] not in ("python", "-m", "callbacks.samples.enabled=false"):
                composer.compose([*words, *advice])
