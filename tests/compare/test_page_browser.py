"""The page in a browser: what its buttons do, on a laptop and on a phone, with hostile texts."""

import json

import pytest

from charlab.compare.compare import compare
from charlab.compare.page.page import write_page
from charlab.reading.find import read_runs

from ..run_directories import add_curves, add_diagnostics, add_samples, make_run, make_runs
from .browsing import browser, needs_chromium, show

pytestmark = needs_chromium
ROWS = "document.querySelectorAll('.scores tbody:not(.floors) th')"
# the first is fastest, and worst; the second has the fewest parameters
SCORES = {"rnn": [3.40, 3.41], "gru": [3.25, 3.26], "lstm": [3.30, 3.32]}
HOSTILE = (
    '</script><script>document.title="taken"</script>',
    "<img src=x onerror=document.title='taken'>",
    "\u2028\u2029 <!--<script>",
    "a\0b\x1b[31m\x07\u202eturned",
    "<b>%{y}</b> {{ 7 * 7 }} &amp; $x$",
)


def front(points):
    """Those that no other beats in both, by looking at all pairs."""
    return sorted(
        p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    for of_cell in make_runs(folder / "runs", SCORES).values():
        for path in of_cell:
            add_curves(path, 20)
            add_samples(path)
            add_diagnostics(path)
    write_page(compare(read_runs([str(folder / "runs")])), folder / "page.html")
    return folder / "page.html"


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


def test_the_buttons_of_the_page_do_what_they_say(chromium, file):
    shown = show(chromium, file, 1280, color_scheme="light")
    page = shown.page
    before = shown.traces()
    data = json.loads(page.text_content("#page-data"))
    assert set(before) == set(data["figures"])
    assert len(before) == 11
    assert all(one["visible"] for traces in before.values() for one in traces)
    points = [(t["x"][0], t["y"][0]) for t in before["set1-time"] if t["cells"]]
    [of_front] = [t for t in before["set1-time"] if t.get("front")]
    assert list(zip(of_front["x"], of_front["y"])) == front(points)
    assert len(front(points)) == 2

    # the axis
    grids = data["figures"]["set1-learning-validation"]["layout"]["meta"]["grids"]
    for axis in ("seconds", "chars_seen", "step"):
        page.click(f"[data-axis={axis}]")
        assert page.get_attribute(f"[data-axis={axis}]", "aria-pressed") == "true"
        for trace in shown.traces()["set1-learning-validation"]:
            if "grid" in trace:
                x = grids[trace["grid"]][axis]
                assert trace["x"] == (x + x[::-1] if trace["fill"] else x)
    title = "#set1-learning-training .xtitle"
    assert page.text_content(title) == "training steps"

    # a cell
    gru = data["labels"].index("gru")
    page.get_by_role("button", name="gru", exact=True).click()
    without = shown.traces()
    for name, traces in without.items():
        assert any(gru in one["cells"] for one in traces), name
        for one in traces:
            assert one["visible"] == (gru not in one["cells"]), name
    points = [(t["x"][0], t["y"][0]) for t in without["set1-time"] if t["cells"] and t["visible"]]
    [of_front] = [t for t in without["set1-time"] if t.get("front")]
    assert list(zip(of_front["x"], of_front["y"])) == front(points)
    row = page.locator(f"table.scores tr[data-cell='{gru}']")
    assert row.evaluate("(one) => one.classList.contains('off')")
    assert not page.locator(f".samples [data-cell='{gru}']").first.is_visible()
    page.get_by_role("button", name="gru", exact=True).click()
    assert shown.traces() == before
    page.get_by_role("button", name="none", exact=True).click()
    assert not any(one["visible"] for ts in shown.traces().values() for one in ts if one["cells"])
    page.get_by_role("button", name="all", exact=True).click()
    assert shown.traces() == before
    assert shown.complaints == []
    assert shown.requests == []


@pytest.mark.slow
def test_the_page_has_two_themes_and_is_for_paper_and_phones_too(chromium, file):
    shown = show(chromium, file, 1280, color_scheme="light")
    page = shown.page
    before = shown.traces()
    data = json.loads(page.text_content("#page-data"))

    # the theme, which stays
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    page.click("#theme")
    dark = shown.traces()
    assert page.evaluate(paper) == "rgb(20, 22, 26)"
    for name, traces in dark.items():
        for one, light in zip(traces, before[name], strict=True):
            if light["colour"] in data["partners"]:
                assert one["colour"] == data["partners"][light["colour"]]
    page.reload()
    assert shown.traces()
    assert page.evaluate(paper) == "rgb(20, 22, 26)"

    # the order of rows
    labels = f"[...{ROWS}].map((row) => row.innerText.trim().split(/\\s/)[0])"
    assert page.evaluate(labels) == ["gru", "lstm", "rnn"]
    page.click(".scores [data-column='10']")
    assert page.evaluate(labels) == ["lstm", "gru", "rnn"]
    page.click(".scores [data-column='10']")
    assert page.evaluate(labels) == ["rnn", "gru", "lstm"]

    # on paper it is light, and not too wide
    page.set_viewport_size({"width": 718, "height": 900})
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    printed = shown.traces()["set1-seeds"]
    assert [one["colour"] for one in printed] == [t["colour"] for t in before["set1-seeds"]]
    assert shown.widths() == (718, 718)
    assert shown.complaints == []
    assert shown.requests == []

    # the dark theme of the system, on a phone
    phone = show(chromium, file, 390, color_scheme="dark", has_touch=True, is_mobile=True)
    assert phone.page.evaluate(paper) == "rgb(20, 22, 26)"
    assert phone.widths() == (390, 390)
    assert phone.complaints == phone.requests == []


def test_texts_from_elsewhere_stay_texts(chromium, tmp_path):
    for place, text in enumerate(HOSTILE):
        config = {"optimizer.name": text, "group": f"group {place}"}
        path = make_run(tmp_path / "runs", "gru", test=3.2 + place / 10, config=config)
        moved = path.with_name(text.replace("/", "|").replace("\0", "").strip())
        path.rename(moved)
        add_curves(moved, 10)
        add_samples(moved, [text, "HALF a character"])
        drawn = moved / "samples.jsonl"
        drawn.write_text(drawn.read_text().replace("HALF", "\\ud800 half"))
        record = json.loads((moved / "run.json").read_text())
        record["hardware"]["cpu"] = text
        (moved / "run.json").write_text(json.dumps(record))
    comparison = compare(read_runs([str(tmp_path / "runs")]))
    write_page(comparison, tmp_path / "page.html")
    shown = show(chromium, tmp_path / "page.html", 390)
    page = shown.page
    assert "taken" not in page.evaluate("document.title").split("=")[0]
    assert shown.complaints == []
    assert shown.requests == []
    assert page.evaluate("document.querySelectorAll('main img, main script, main b').length") == 0
    samples = page.evaluate(
        "[...document.querySelectorAll('.samples pre')].map((x) => x.textContent)"
    )
    safe = [
        text.replace("\0", "\ufffd")
        .replace("\x1b", "\ufffd")
        .replace("\x07", "\ufffd")
        .replace("\u202e", "\ufffd")
        for text in HOSTILE
    ]
    assert set(safe) <= set(samples)
    assert "\ufffd half a character" in samples
    drawn = page.evaluate("document.querySelector('#set1-seeds').textContent")
    assert "optimizer=<img src=x" in drawn
    assert "&amp; $x$" in drawn
    width, window = shown.widths()
    assert width == window
