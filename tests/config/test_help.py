"""The help page is complete, true and fits the screen."""

import re
from dataclasses import fields

from charlab.config.options import KIND_OPTIONS, all_options
from charlab.config.schema import SCHEMAS


def helps(name, option):
    """What the choices that have the option say of it."""
    schemas = [SCHEMAS[schema] for schema in option.schemas]
    key = name.rpartition(".")[2]
    told = [f.metadata["help"] for schema in schemas for f in fields(schema) if f.name == key]
    return told or [option.field.metadata["help"]]


def test_every_option_and_choice_is_there(command_line, root):
    result = command_line("--help")
    assert (result.exit_code, result.jobs) == (0, [])
    for name, option in all_options().items():
        if name not in KIND_OPTIONS:
            assert f" {name}=" in result.out, name
            first_words = "|".join(re.escape(text.split()[0]) for text in helps(name, option))
            assert re.search(rf" {re.escape(name)}=.*\s+({first_words})", result.out), name
    for file in (root / "conf").glob("*/*.yaml"):
        assert re.search(rf"\b{file.stem}\b", result.out), file


def test_lines_fit_100_columns(command_line):
    page = command_line("--help").out
    assert max(map(len, page.splitlines())) <= 100
    assert "\N{NO-BREAK SPACE}" not in page
    assert "$" not in page.replace('"$(python', "")


def test_values_and_ranges_are_those_that_hold(command_line):
    page = command_line("--help", "optimizer.lr=3e-3", "model.dropout=0.25").out
    assert re.search(r"optimizer\.lr=0\.003 +learning rate.*\[> 0\]", page)
    assert re.search(r"model\.dropout=0\.25 ", page)
    page = command_line("--help", "model=custom_gru", "optimizer=adam", "seed=7").out
    assert re.search(r"optimizer\.lr=0\.001 ", page)
    assert re.search(r"seed=7 ", page)
    assert "\n  model=custom_gru\n" in page
    assert "custom_gru*" in page


def test_the_options_of_other_choices_are_marked(command_line):
    page = command_line("--help").out
    assert re.search(r"with model=custom_gru\n +model\.bias=none .*", page)
    assert re.search(r"with model=custom_rnn, model=custom_lstm\n +model\.bias=both", page)


def test_the_page_tells_what_people_look_for(command_line):
    page = command_line("-h").out
    for word in ("usage:", "-m model=", "charlab sample", "charlab eval", "charlab data",
                 "metrics.jsonl", "--cfg job", "experiment="):  # fmt: skip
        assert word in page
    assert 6 <= len(re.findall(r"^  python train\.py", page, re.MULTILINE)) <= 8


def test_a_mistake_beside_help_is_a_mistake(command_line):
    result = command_line("--help", "model=gur")
    assert result.exit_code == 2
    assert "did you mean gru?" in result.err
