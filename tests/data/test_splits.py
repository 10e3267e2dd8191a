"""Where a text is cut, and what can be said of the options before it is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlab.config.schema_data import (
    Enwik8CharsConfig,
    Enwik8Config,
    PythonStdlibConfig,
    StreamConfig,
    TextConfig,
)
from charlab.data.check import check_data_config
from charlab.data.splits import in_words, planned_cuts, sizes_of
from charlab.errors import UsageError


def cut(num_bytes, by_fractions=False, **options):
    config = StreamConfig(name="text", **options)
    return planned_cuts(num_bytes, config, "the text", by_fractions=by_fractions)


def test_the_head_of_enwik8_is_cut_as_its_reference_is():
    cuts = cut(4_154_399)
    assert sizes_of(cuts) == (3_738_959, 207_720, 207_720)
    assert in_words(cuts) == "3,738,959 / 207,720 / 207,720"


def test_enwik8_is_cut_as_is_published():
    config = Enwik8Config(name="enwik8")
    cuts = planned_cuts(config.num_bytes, config, "enwik8", by_fractions=False)
    assert cuts == (0, 90_000_000, 95_000_000, 100_000_000)
    assert sizes_of(cuts) == (90_000_000, 5_000_000, 5_000_000)


def test_numbers_of_bytes_take_the_place_of_fractions():
    assert sizes_of(cut(1000, val_bytes=10)) == (940, 10, 50)
    assert sizes_of(cut(1000, test_bytes=10)) == (940, 50, 10)
    assert sizes_of(cut(1000, val_bytes=10, test_bytes=20)) == (970, 10, 20)
    assert sizes_of(cut(1000, by_fractions=True, val_bytes=10, test_bytes=20)) == (900, 50, 50)


@given(
    num_bytes=st.integers(1, 2**40),
    val=st.floats(0.001, 0.9),
    test=st.floats(0.001, 0.9),
)
def test_the_splits_are_the_text_or_an_error_says_why_not(num_bytes, val, test):
    try:
        cuts = cut(num_bytes, val_fraction=val, test_fraction=test)
    except UsageError as error:
        num_val, num_test = round(num_bytes * val), round(num_bytes * test)
        assert min(num_bytes - num_val - num_test, num_val, num_test) < 2
        assert error.option in ("data.path", "data.val_fraction")
        return
    assert cuts[0] == 0
    assert cuts[-1] == num_bytes
    assert sizes_of(cuts)[1:] == (round(num_bytes * val), round(num_bytes * test))
    assert min(sizes_of(cuts)) >= 2


def test_numbers_of_bytes_beyond_the_text_are_named():
    assert sizes_of(cut(1000, val_bytes=600)) == (350, 600, 50)
    with pytest.raises(UsageError) as caught:
        cut(1000, val_bytes=600, test_bytes=400)
    text = str(caught.value)
    assert "val and test together are shorter than the text, 1,000 bytes" in text
    assert "600 + 400 bytes (data.val_bytes and data.test_bytes)" in text
    assert caught.value.option == "data.val_bytes"


def test_a_text_that_is_too_small_says_how_it_would_be_cut():
    with pytest.raises(UsageError) as caught:
        cut(20)
    text = str(caught.value)
    assert "the text is too small to split" in text
    assert "at least 2 bytes each in train, val and test" in text
    assert "20 bytes, cut into 18 train, 1 val and 1 test" in text


# ---------------------------------------------------------------------------------- cheap checks
def refused(config):
    with pytest.raises(UsageError) as caught:
        check_data_config(config)
    return str(caught.value), caught.value.option


def test_sound_options_pass():
    check_data_config(Enwik8Config(name="enwik8"))
    check_data_config(Enwik8CharsConfig(name="enwik8_chars"))
    check_data_config(PythonStdlibConfig(name="python_stdlib", vocabulary="own"))


def test_text_needs_a_path():
    text, option = refused(TextConfig(name="text"))
    assert "data=text needs a file" in text
    assert "data.path=FILE" in text
    assert option == "data.path"


@pytest.mark.parametrize("kind", [TextConfig, Enwik8Config, Enwik8CharsConfig])
def test_a_path_has_to_be_a_file(tmp_path, kind):
    names = {TextConfig: "text", Enwik8Config: "enwik8", Enwik8CharsConfig: "enwik8_chars"}
    (tmp_path / "book.txt").write_text("text")
    text, _ = refused(kind(name=names[kind], path=str(tmp_path / "boook.txt")))
    assert f"there is no file {tmp_path / 'boook.txt'}" in text
    assert f"data.path={tmp_path / 'book.txt'}" in text
    check_data_config(kind(name=names[kind], path=str(tmp_path / "book.txt")))


@pytest.mark.parametrize(
    ("options", "what", "hint", "option"),
    [
        (
            {"symbols": "chars", "vocabulary": "fixed"},
            "characters have no fixed vocabulary",
            "data.vocabulary=own, or data.symbols=bytes",
            "data.vocabulary",
        ),
        (
            {"predict_across": False},
            "a carried state reads across the end of a window",
            "data.stateful=false, or data.predict_across=true",
            "data.predict_across",
        ),
        (
            {"predict_across": False, "stateful": False, "seq_len": 1},
            "a window of one step has nothing to predict",
            "data.seq_len=100, or data.predict_across=true",
            "data.seq_len",
        ),
        (
            {"val_fraction": 0.5, "test_fraction": 0.5},
            "nothing is left to train on",
            "data.val_fraction=0.05 data.test_fraction=0.05",
            "data.val_fraction",
        ),
    ],
)
def test_options_that_do_not_fit_together_are_refused(options, what, hint, option):
    text, named = refused(PythonStdlibConfig(name="python_stdlib", **options))
    assert what in text
    assert hint in text
    assert named == option


def test_fractions_that_nobody_reads_are_not_refused():
    fractions = {"val_fraction": 0.5, "test_fraction": 0.5}
    check_data_config(Enwik8Config(name="enwik8", **fractions))
    check_data_config(PythonStdlibConfig(name="python_stdlib", val_bytes=10, **fractions))
    text, _ = refused(Enwik8Config(name="enwik8", verify=False, **fractions))
    assert "0.5 + 0.5 = 1" in text


def test_a_window_of_its_own_may_leave_out_its_last_step():
    options = {"predict_across": False, "stateful": False, "reset_prob": 0.5}
    check_data_config(PythonStdlibConfig(name="python_stdlib", **options))
