"""What the page shows is what the comparison holds and what is in the run directories."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from charlab.compare.compare import compare
from charlab.compare.page.headline import key_figures
from charlab.compare.page.look import looks
from charlab.compare.page.page import write_page
from charlab.compare.page.scores import every_seed
from charlab.errors import UsageError
from charlab.reading.curves import read_curves
from charlab.reading.find import read_runs

from ..run_directories import add_curves, add_diagnostics, add_samples, make_run, make_runs
from .read_pages import read_page

SCORES = {
    "custom_gru": [3.270, 3.274, 3.268, 3.272],
    "gru": [3.280, 3.283, 3.279, 3.284],
    "lstm": [3.301, 3.310, 3.295, 3.305],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A comparison of three cells, one of them measured inside, and its page."""
    runs = tmp_path_factory.mktemp("page") / "runs"
    paths = make_runs(runs, SCORES)
    for cell, of_cell in paths.items():
        for seed, path in enumerate(of_cell):
            add_curves(path, 60 if cell != "lstm" else 50 + 10 * seed)
            add_samples(path, [f"{cell} of {seed}", "Fale"])
            if cell == "custom_gru":
                add_diagnostics(path)
    make_run(runs, "rnn", status="running")
    (runs / "cells" / "broken").mkdir()
    (runs / "cells" / "broken" / "run.json").write_text("{")
    comparison = compare(read_runs([str(runs)]))
    file = runs / "report.html"
    old, sys.argv = sys.argv, ["charlab", "compare", "runs", "--html", "a page.html"]
    write_page(comparison, file)
    sys.argv = old
    return comparison, read_page(file), file


def numbers_of(element):
    return [
        float(x["data-number"]) if (x := td.attributes).get("data-number") else None
        for td in element.all("td")
    ]


def test_the_table_holds_the_estimates_of_the_comparison(made):
    comparison, page, _ = made
    [one] = comparison.sets
    [table] = page.root.all("table", "scores")
    assert [th.text.strip() for th in table.all("thead")[0].all("th")] == [
        *("variant", "n", "test", "95% interval", "sd", "val", "95% interval", "sd"),
        *("params", "state", "chars/s", "time", "memory"),
    ]
    variants, floors = table.all("tbody")
    for row, variant in zip(variants.all("tr"), one.variants, strict=True):
        assert row.all("th")[0].text.strip() == variant.label
        assert int(row.attributes["data-cell"]) == page.cell(variant.label)
        test, val = variant.test, variant.val
        assert numbers_of(row) == [
            *(4, test.mean, test.high - test.low, test.sd, val.mean, val.high - val.low, val.sd),
            *(variant.num_params, variant.state_size, variant.chars_per_s, variant.train_s),
            variant.peak_memory_bytes,
        ]
        shown = [td.text for td in row.all("td")]
        assert shown[1] == f"{np.mean(SCORES[variant.label]):.3f}"
        assert shown[2] == f"[{test.low:.3f}, {test.high:.3f}]"
        assert shown[7] == f"{variant.num_params:,}"
    for row, floor in zip(floors.all("tr"), one.floors, strict=True):
        assert row.all("th")[0].text == floor.label + (", to beat" if floor.is_best else "")
        assert numbers_of(row) == [None, floor.test_bpc, None, None, floor.val_bpc, *[None] * 7]


def test_the_figure_of_pairs_has_their_differences_and_intervals(made):
    comparison, page, _ = made
    [one] = comparison.sets
    marks = [t for t in page.traces("set1-pairs") if t["mode"] == "markers"]
    assert len(marks) == len(one.pairs) == 3
    for row, (mark, pair) in enumerate(zip(marks, one.pairs, strict=True)):
        assert mark["meta"]["cells"] == [page.cell(pair.better), page.cell(pair.worse)]
        assert (mark["x"], mark["y"]) == ([pair.difference], [row])
        ends = mark["error_x"]
        low, high = pair.difference - ends["arrayminus"][0], pair.difference + ends["array"][0]
        assert (low, high) == pytest.approx((pair.low, pair.high))
        is_full = mark["marker"]["color"] != "#ffffff"
        assert is_full == (pair.verdict == "beats")
    sentences = [li.text for li in page.root.all("ul", "sentences")[0].all("li")]
    assert sentences == [pair.sentence for pair in one.pairs]


def test_every_seed_has_its_dot(made):
    _, page, _ = made
    for label, scores in SCORES.items():
        traces = page.traces("set1-seeds", cells=[page.cell(label)])
        [dots] = [trace for trace in traces if trace["mode"] == "markers"]
        assert dots["x"] == scores


def test_a_dot_names_its_seed_where_another_has_no_score(tmp_path):
    make_runs(tmp_path, {"gru": [None, 3.28, 3.29], "lstm": [3.3, 3.31, 3.32]}, val=3.2)
    comparison = compare(read_runs([str(tmp_path)]))
    figure = every_seed(comparison.sets[0], looks(comparison), 0.95, "seeds")
    assert figure is not None
    dots = [trace for trace in figure.plot.data if trace.mode == "markers"]
    assert [dot.split("<br>") for dot in dots[0].hovertext] == [
        ["gru", "seed 1: 3.2800"],
        ["gru", "seed 2: 3.2900"],
    ]


def test_learning_curves_are_means_and_ranges_over_seeds(made):
    comparison, page, _ = made
    for metric, name in (("val/bpc", "validation"), ("train/bpc", "training")):
        figure = page.figure(f"set1-learning-{name}")
        for variant in comparison.sets[0].variants:
            if variant.label == "lstm":
                continue
            curves = [read_curves(run.path, [metric])[metric] for run in variant.runs]
            values = np.array([curve.value for curve in curves])
            fill, line = page.traces(f"set1-learning-{name}", cells=[page.cell(variant.label)])
            grid = figure["layout"]["meta"]["grids"][line["meta"]["grid"]]
            assert fill["meta"]["grid"] == line["meta"]["grid"]
            assert line["y"] == pytest.approx(values.mean(axis=0), rel=1e-5)
            there_and_back = [*values.max(axis=0), *values.min(axis=0)[::-1]]
            assert fill["y"] == pytest.approx(there_and_back, rel=1e-5)
            assert grid["step"] == curves[0].step.tolist()
            assert grid["chars_seen"] == pytest.approx(curves[0].chars_seen, rel=1e-5)
            # the runs take less than two minutes
            seconds = np.mean([curve.seconds for curve in curves], axis=0)
            assert grid["seconds"] == pytest.approx(seconds, rel=1e-4)
    assert figure["layout"]["meta"]["titles"]["seconds"] == "seconds since the start"


def test_the_costs_are_those_of_the_variants(made):
    comparison, page, _ = made
    for variant in comparison.sets[0].variants:
        cells = [page.cell(variant.label)]
        [size] = page.traces("set1-parameters", cells=cells)
        assert (size["x"], size["y"]) == ([variant.num_params], [variant.test.mean])
        [time] = page.traces("set1-time", cells=cells)
        assert (time["x"], time["y"]) == ([variant.train_s], [variant.test.mean])
        [bar] = [t for t in page.traces("set1-throughput", cells=cells) if t["type"] == "bar"]
        assert bar["x"] == [variant.chars_per_s]


def test_diagnostics_are_those_of_the_last_measurement(made):
    _, page, _ = made
    cells = [page.cell("custom_gru")]
    [gradient] = page.traces("set1-insight-gradient")
    assert gradient["meta"]["cells"] == cells
    assert gradient["x"] == list(range(12))
    expected = np.exp(-np.arange(12) / (2 + 3.488))
    assert gradient["y"] == pytest.approx(expected, rel=1e-5)
    assert page.figure("set1-insight-gradient")["layout"]["yaxis"]["type"] == "log"
    [position] = page.traces("set1-insight-position")
    assert position["y"] == pytest.approx(4.5 - 0.1 * np.arange(1, 14) - 3488 / 5000, rel=1e-5)
    [memory] = page.traces("set1-insight-memory")
    assert memory["x"] == [0, 1000, 3488]
    assert memory["y"] == pytest.approx([2.0, 3.0, 5.488])
    bars = [t for t in page.traces("set1-insight-gates") if t["type"] == "bar"]
    assert [(bar["base"][0], bar["x"][0]) for bar in bars] == [
        *((0, pytest.approx(0.1)), (pytest.approx(0.1), pytest.approx(0.6))),
        *((pytest.approx(0.7), pytest.approx(0.3)), (0, pytest.approx(0.05))),
        *((pytest.approx(0.05), pytest.approx(0.35)), (pytest.approx(0.4), pytest.approx(0.6))),
    ]


def test_damaged_diagnostics_are_passed_over(tmp_path):
    path = make_run(tmp_path / "runs", "gru")
    add_diagnostics(path, [10, 20])
    file = path / "diagnostics.jsonl"
    whole = json.loads(file.read_text().splitlines()[0])
    damaged = [
        *({"lag": ["a"] * 12}, {"lag": [0]}, {"bits": None}, {"gates": [1]}),
        *({"gates": {"1 reset": 3}}, {"position": "abc"}),
    ]
    rows = [json.dumps(whole | {"step": 30} | change) for change in damaged]
    nulls = json.dumps(
        whole | {"step": 25, "grad_norm": [None, *whole["grad_norm"][1:]], "memory_steps": None}
    )
    file.write_text(file.read_text() + nulls + "\n" + "\n".join(rows) + '\n{"step": 40, "la')
    write_page(compare(read_runs([str(tmp_path / "runs")])), tmp_path / "page.html")
    page = read_page(tmp_path / "page.html")
    [gradient] = page.traces("set1-insight-gradient")
    assert gradient["x"] == whole["lag"][1:]
    assert gradient["y"] == pytest.approx(whole["grad_norm"][1:], rel=1e-5)
    [memory] = page.traces("set1-insight-memory")
    assert memory["x"] == [10, 20]


def test_seeds_that_were_measured_further_are_cut_to_what_all_have(tmp_path):
    for seed, num in enumerate((5, 3, 4)):
        path = make_run(tmp_path / "runs", "gru", seed=seed)
        row = {
            "step": 10,
            "lag": list(range(num)),
            "grad_norm": [1.0 + seed] * num,
            "position": [],
            "bits": [],
            "gates": {},
            "memory_steps": None,
        }
        (path / "diagnostics.jsonl").write_text(json.dumps(row))
    write_page(compare(read_runs([str(tmp_path / "runs")])), tmp_path / "page.html")
    page = read_page(tmp_path / "page.html")
    [gradient] = page.traces("set1-insight-gradient")
    assert (gradient["x"], gradient["y"]) == ([0, 1, 2], [2, 2, 2])
    assert [name for name in page.data["figures"] if "insight" in name] == ["set1-insight-gradient"]


def test_samples_of_all_cells_stand_beside_each_other(made):
    _, page, _ = made
    blocks = page.root.all("div", "samples")
    assert len(blocks) == 4  # two prompts at two temperatures
    for prompt, block in zip(("", "", "Trump", "Trump"), blocks, strict=True):
        columns = [one for one in block.inner if not isinstance(one, str)]
        shown = [[pre.text for pre in column.all("pre")] for column in columns]
        assert shown == [[f"{prompt}{cell} of 0", f"{prompt}Fale"] for cell in SCORES]


def test_where_the_runs_come_from_and_what_is_left_out(made):
    comparison, page, _ = made
    same = {
        div.all("dt")[0].text: div.all("dd")[0].text
        for div in page.root.all("dl", "same")[0].all("div")
    }
    assert same["commit"] == "2d8f3ed425ed81a6f0aa795938b0b16e439bb544"
    assert same["changed since the commit"] == "no"
    assert same["data fingerprint"] == "6ca6d4bb717586b2"
    assert same["W&B id"] == "bb603332"
    runs, left_out, unreadable = page.root.all("table", "runs")
    paths = [row.all("td")[0].text for row in runs.all("tbody")[0].all("tr")]
    assert paths == [str(r.path) for v in comparison.sets[0].variants for r in v.runs]
    for table, left in ((left_out, comparison.left_out), (unreadable, comparison.unreadable)):
        assert len(left) == 1
        shown = [[td.text for td in row.all("td")] for row in table.all("tr")]
        assert shown == [[str(one.path), one.why] for one in left]
    settings = [th.text for th in page.root.all("table", "settings")[0].all("thead")[0].all("th")]
    assert settings == ["variant", *comparison.differing]
    assert page.root.all("pre", "command")[0].text == "charlab compare runs --html 'a page.html'"


def headline_of(tmp_path, scores):
    make_runs(tmp_path / "runs", scores)
    comparison = compare(read_runs([str(tmp_path / "runs")]))
    write_page(comparison, tmp_path / "page.html")
    return read_page(tmp_path / "page.html").root.all("h1")[0].text, comparison.sets[0]


def test_the_headline_names_the_best_and_its_margin(made):
    comparison, page, _ = made
    pair = next(p for p in comparison.sets[0].pairs if {p.better, p.worse} == {"custom_gru", "gru"})
    assert page.root.all("h1")[0].text == (
        f"custom_gru is the best of 3: {pair.difference:.4f} bits/char below gru, "
        f"interval [{pair.low:.3f}, {pair.high:.3f}]."
    )


def test_the_headline_says_when_it_is_too_close_to_call(tmp_path):
    scores = {"gru": [3.28, 3.30, 3.26], "lstm": [3.27, 3.31, 3.261], "rnn": [3.9, 3.91, 3.92]}
    headline, one = headline_of(tmp_path, scores)
    pair = next(p for p in one.pairs if {p.better, p.worse} == {"gru", "lstm"})
    assert pair.verdict == "close"
    assert headline == (
        f"Too close to call: {pair.better} is {pair.difference:.4f} bits/char below {pair.worse}, "
        f"interval [{pair.low:.3f}, {pair.high:.3f}]."
    )


def test_the_headline_says_probably_where_that_is_all_that_can_be_said(tmp_path):
    scores = {"gru": [3.25, 3.26, 3.24], "lstm": [3.27, 3.30, 3.274], "rnn": [3.9, 3.91, 3.92]}
    headline, one = headline_of(tmp_path, scores)
    pair = next(p for p in one.pairs if {p.better, p.worse} == {"gru", "lstm"})
    assert pair.verdict == "alone"
    assert headline.startswith("gru is probably the best of 3: ")


def test_the_headline_names_those_that_are_too_close_or_counts_them(tmp_path):
    scores = {"gru": [3.28, 3.30], "lstm": [3.281, 3.302], "rnn": [3.282, 3.295]}
    assert "Too close to call among rnn, gru and lstm: " in headline_of(tmp_path / "a", scores)[0]
    more = scores | {"custom_gru": [3.279, 3.305], "mlstm": [3.285, 3.3]}
    assert "Too close to call among all 5: " in headline_of(tmp_path / "b", more)[0]


def test_the_headline_says_where_the_lowest_mean_loses_seed_by_seed(tmp_path):
    """On seeds that only one has it was lucky."""
    scores = {"gru": [3.30, 3.301, 3.302, 3.0, 3.0], "lstm": [3.20, 3.20, 3.2011]}
    headline, one = headline_of(tmp_path, scores)
    (pair,) = one.pairs
    assert (one.variants[0].label, pair.better, pair.verdict) == ("gru", "lstm", "beats")
    assert headline == (
        "gru has the lowest mean, but on the seeds that both have lstm is "
        f"{pair.difference:.4f} bits/char below gru, interval [{pair.low:.3f}, {pair.high:.3f}]."
    )
    told = {figure.number: figure.meaning for figure in key_figures(one)}
    assert told[f"{pair.difference:.4f}"] == "lstm is lower, on the seeds that both have"


def test_the_headline_of_single_seeds_says_that_they_are_too_few(tmp_path):
    headline, _ = headline_of(tmp_path, {"gru": [3.25], "lstm": [3.30]})
    assert headline == "Too few seeds to call: gru is 0.0500 bits/char below lstm."


def test_a_variant_alone_has_nothing_to_be_compared_with(tmp_path):
    headline, _ = headline_of(tmp_path, {"gru": [3.25, 3.26]})
    assert headline == "gru alone: there is nothing to compare with."


def test_sets_that_cannot_be_ranked_together_have_a_section_each(tmp_path):
    make_runs(tmp_path / "runs", {"gru": [3.25, 3.26], "lstm": [3.3, 3.31]})
    make_runs(tmp_path / "runs", {"gru": [1.9, 1.91]}, data="python_stdlib")
    comparison = compare(read_runs([str(tmp_path / "runs")]))
    assert len(comparison.sets) == 2
    write_page(comparison, tmp_path / "page.html")
    page = read_page(tmp_path / "page.html")
    titles = [one.text for one in page.root.all("p", "eyebrow")]
    assert titles == [one.title for one in comparison.sets]
    assert comparison.not_ranked[0] in page.root.text
    # the same label has the same colour in both
    assert page.data["labels"] == ["gru", "lstm"]


def test_what_is_forced_together_is_marked_as_not_comparable(tmp_path):
    make_runs(tmp_path / "runs", {"gru": [3.25, 3.26, 3.24]})
    make_runs(tmp_path / "runs", {"lstm": [1.9, 1.91, 1.92]}, data="python_stdlib")
    comparison = compare(read_runs([str(tmp_path / "runs")]), force=True)
    write_page(comparison, tmp_path / "page.html")
    page = read_page(tmp_path / "page.html")
    label, mark = page.traces("set1-pairs", cells=[page.cell("lstm"), page.cell("gru")])
    assert label["text"][0].startswith("not comparable: lstm beats gru")
    assert mark["marker"]["color"] == "#ffffff"
    [variant] = [one for one in comparison.sets[0].variants if one.reason]
    notes = [small.text for small in page.root.all("table", "scores")[0].all("small")]
    assert notes == [f"not comparable: {variant.reason}"]
    assert page.root.all("h1")[0].text.endswith(" alone: there is nothing to compare with.")


def test_a_page_of_many_variants_stays_small(tmp_path):
    for place in range(60):
        path = make_run(
            tmp_path / "runs",
            "gru",
            test=3.2 + place / 1000,
            config={"optimizer.lr": 0.001 + place / 10_000},
        )
        add_curves(path, 2000)
    comparison = compare(read_runs([str(tmp_path / "runs")]))
    write_page(comparison, tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 7e6
    page = read_page(tmp_path / "page.html")
    assert len(page.figure("set1-learning-training")["data"]) == 60
    pairs = [t for t in page.traces("set1-pairs") if t["mode"] == "markers"]
    assert all(page.cell(comparison.sets[0].variants[0].label) in t["meta"]["cells"] for t in pairs)
    assert len(pairs) == 30


def test_without_plotly_the_error_says_how_to_install_it(tmp_path, monkeypatch, made):
    comparison, _, _ = made
    monkeypatch.setattr(
        "charlab.compare.page.page.find_spec", lambda name: None if name == "plotly" else object()
    )
    with pytest.raises(UsageError) as raised:
        write_page(comparison, tmp_path / "page.html")
    assert str(raised.value) == (
        "the page needs plotly\n"
        "  expected  the extra `report`\n"
        "  got       plotly is not installed\n"
        "  try       pip install -c constraints.txt -e '.[report]'"
    )


def test_a_file_that_cannot_be_written_is_told_in_a_sentence(tmp_path, made):
    comparison, _, _ = made
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write the page .*file/page\.html") as raised:
        write_page(comparison, tmp_path / "file" / "page.html")
    assert raised.value.hint == "--html FILE puts it elsewhere"
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=r"cannot write the page .*folder") as raised:
        write_page(comparison, tmp_path / "folder")
    assert raised.value.hint == "--html FILE puts it elsewhere"


def test_a_page_into_a_pipe_leaves_the_pipe_there(tmp_path, made):
    comparison, _, _ = made
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_bytes)
        write_page(comparison, pipe)
        assert read.result(30).startswith(b"<!doctype html>")
    assert pipe.is_fifo()


def test_the_page_asks_for_nothing_from_elsewhere(made):
    _, page, file = made
    policy = next(
        m.attributes["content"] for m in page.root.all("meta") if "content" in m.attributes
    )
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert not any("src" in script.attributes for script in page.root.all("script"))
    assert [one.attributes["href"] for one in page.root.all("link")] == ["data:,"]
    assert file.stat().st_size < 6e6
    json.dumps(page.data, allow_nan=False)
