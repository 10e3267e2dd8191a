"""Sheets of samples: what is written, in which order, and any character at all."""

import json
import unicodedata

import pytest

from charlab import plot
from charlab.plot import draw
from charlab.plot.figures import figures
from charlab.plot.run import run_to_draw
from charlab.plot.text import NO_GLYPH, drawable, filled, width_of, wrapped

from ..run_directories import add_samples, make_run


def sheet(run):
    drawn, missing = figures(run_to_draw(run), "steps")
    assert "samples" in drawn, missing
    return drawn["samples"]


def written(figure):
    """What stands on it from top to bottom, with its size in points."""
    texts = sorted(figure.texts, key=lambda text: (-text.get_position()[1], text.get_position()[0]))
    return [(text.get_text(), text.get_fontsize()) for text in texts]


def write_samples(run, *found, ended=True):
    """found: (step, prompt, temperature, text) each"""
    names = ("step", "prompt", "temperature", "text")
    lines = [json.dumps(dict(zip(names, one)) | {"ended": ended}) for one in found]
    (run / "samples.jsonl").write_text("".join(line + "\n" for line in lines))


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path, "gru")


def test_each_prompt_and_temperature_has_a_block_from_the_last_samples_back(run):
    write_samples(
        run,
        (10, "", 1.0, "first"),
        (20, "", 1.0, "then"),
        (20, "", 0.5, "cool"),
        (30, "", 1.0, "one"),
        (30, "", 1.0, "two"),
        (20, "Tr", 0.5, "Trump"),
    )
    told = written(sheet(run))
    assert [text for text, _ in told] == [
        *(run.name, "samples up to step 30"),
        *("from nothing at temperature 0.5", "from nothing at temperature 1"),
        *("20", "cool", "30", "one   two"),
        *("20", "then"),
        *("10", "first"),
        *("after “Tr” at temperature 0.5", "20", "Trump"),
    ]
    sizes = dict(told)
    assert sizes["one   two"] == sizes["cool"] == 10 > sizes["then"] == sizes["first"]


def test_texts_of_many_characters_are_wrapped_and_cut(run):
    write_samples(run, (5, "", 1.0, "ab\n\tc" * 200), ended=False)
    told = [text for text, size in written(sheet(run)) if size == 10]
    lines = told[told.index(next(text for text in told if text.startswith("ab"))) :]
    assert len(lines) == 5
    assert "".join(lines) == ("ab↵→c" * 200)[: len("".join(lines))]
    assert len({len(line) for line in lines}) == 1


def test_a_text_that_was_cut_says_so(run):
    write_samples(run, (5, "", 1.0, "Anna"), ended=False)
    assert "Anna…" in [text for text, _ in written(sheet(run))]


def test_no_two_lines_meet(run):
    add_samples(run, ["a name of some length", "b", "c" * 300])
    figure = sheet(run)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.texts if text.get_text()]
    for index, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert 0 <= box.y0 < box.y1 <= figure.bbox.y1
        for other in boxes[:index]:
            assert box.x1 <= other.x0 or other.x1 <= box.x0 or overlap(box, other) < 2


def overlap(box, other):
    """Pixels of height that two lines share: letters like g reach a little below their line."""
    return min(box.y1, other.y1) - max(box.y0, other.y0)


def test_many_prompts_are_told_to_be_more(run):
    write_samples(run, *[(5, f"p{index}", 1.0, "text") for index in range(11)])
    told = [text for text, _ in written(sheet(run))]
    assert "samples up to step 5 · the first 8 of 11 prompts and temperatures" in told
    assert sum("at temperature" in text for text in told) == 8


def test_any_unicode_is_drawn_without_a_warning(run, tmp_path):
    """Warnings are errors here: of a glyph that no font has, of a formula that cannot be read."""
    categories = {}
    for code in range(0x110000):
        categories.setdefault(unicodedata.category(chr(code)), []).append(chr(code))
    odd = [
        *(some[-1] for some in categories.values()),
        "漢字かな",
        "\ud800",
        "\x00\x1b[31m",
        "👩‍👩‍👧",
        "e\u0301",
    ]
    write_samples(
        run,
        *[(5, "", 1.0, text) for text in odd[:8]],
        *[(5, "", 0.5, "".join(odd))],
        *[(5, "$a_{$ \\frac", 1.0, "$x^$ \\n {} שלום مرحبا")],
    )
    paths = draw(run, tmp_path / "out")
    assert paths["samples"].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Özçary-ß αβγ Женя", "Özçary-ß αβγ Женя"),
        ("a\nb\tc\r", "a↵b→c\ufffd"),
        ("a\u2028b\u2029c", "a↵b↵c"),
        ("\x1b[31m\x00\u202e\ud800", "\ufffd[31m\ufffd\ufffd\ufffd"),
        ("\U0001f9ff", NO_GLYPH),
    ],
)
def test_what_cannot_be_drawn_is_replaced_one_by_one(text, shown, only_matplotlib):
    assert drawable(text) == shown


@pytest.fixture
def only_matplotlib(monkeypatch):
    """No fonts but the one that every machine has."""
    monkeypatch.setattr(plot.text, "FALLBACKS", ())
    caches = (plot.text._fonts, plot.text._drawable)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def test_lines_are_as_wide_as_they_may_be():
    assert list(wrapped("abcdefg", 3)) == ["abc", "def", "g"]
    assert list(wrapped("", 3)) == [""]
    # two columns each; one that joins the letter before takes none
    assert list(wrapped("漢字かな", 5)) == ["漢字", "かな"]
    assert list(wrapped("ae\u0301b", 3)) == ["ae\u0301b"]
    assert width_of("漢e\u0301") == 3
    assert list(filled(["ab", "cd", "efgh", "i"], 6, " ")) == ["ab cd", "efgh i"]
    assert list(filled(["abcdefgh", "i"], 3, " ")) == ["abc", "def", "gh", "i"]


def test_damaged_rows_are_passed_over(run):
    write_samples(run, (5, "", 1.0, "whole"))
    with (run / "samples.jsonl").open("a") as file:
        file.write('{"step": 6}\n[]\n{"step": 7, "prompt": "", "temperature": 1, "text": 3}\n{"ste')
    assert "whole" in [text for text, _ in written(sheet(run))]
