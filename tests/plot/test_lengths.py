"""Lengths of real and of sampled names: heights of the bars."""

import numpy as np
import pytest

from charlab.plot.figures import figures
from charlab.plot.run import run_to_draw

from ..run_directories import NAMES_LENGTHS, SAMPLES_LENGTHS, make_run


def lengths_of(run):
    drawn, missing = figures(run_to_draw(run), "steps")
    if "lengths" not in drawn:
        return missing["lengths"]
    (axes,) = drawn["lengths"].axes
    return axes


def bars(axes):
    """The height at each length, of real and of sampled names."""
    real, sampled = axes.containers
    return [
        {round(bar.get_x() + bar.get_width() / 2 + side): bar.get_height() for bar in one}
        for one, side in ((real, 0.2), (sampled, -0.2))
    ]


def test_bars_are_parts_of_all(tmp_path):
    axes = lengths_of(make_run(tmp_path, "gru"))
    for found, counts in zip(bars(axes), (NAMES_LENGTHS, SAMPLES_LENGTHS)):
        assert sum(found.values()) == pytest.approx(1)
        for length, part in found.items():
            count = counts[length] if length < len(counts) else 0
            assert part == pytest.approx(count / sum(counts))
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    means = [
        np.average(range(len(counts)), weights=counts)
        for counts in (NAMES_LENGTHS, SAMPLES_LENGTHS)
    ]
    assert labels == [
        f"real: {sum(NAMES_LENGTHS):,}, mean {means[0]:.2f}",
        f"sampled: {sum(SAMPLES_LENGTHS):,}, mean {means[1]:.2f}",
    ]
    assert axes.get_title(loc="left") == "lengths of names"


def test_what_both_have_in_common_is_told(tmp_path):
    record = {"data.lengths": [0, 1, 3], "samples.lengths": [0, 2, 1, 1]}
    axes = lengths_of(make_run(tmp_path, "gru", record=record))
    real, sampled = bars(axes)
    assert real == pytest.approx({1: 0.25, 2: 0.75, 3: 0})
    assert sampled == pytest.approx({1: 0.5, 2: 0.25, 3: 0.25})
    assert axes.get_title(loc="right").endswith(" · 50% in common")


def test_very_long_samples_share_the_last_bar(tmp_path):
    record = {"data.lengths": [0, 4], "samples.lengths": [0, 1, *[0] * 58, 1, 1, 1]}
    axes = lengths_of(make_run(tmp_path, "gru", record=record))
    _, sampled = bars(axes)
    assert max(sampled) == 60
    assert sampled[60] == pytest.approx(0.75)
    assert axes.get_xlabel() == "length in characters (60: and more)"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"data": "python_stdlib"}, "the data are one long text, without items that have lengths"),
        (
            {"status": "running"},
            "run.json has no samples.lengths: samples are counted at the end of a run that did "
            "not diverge",
        ),
        ({"record": {"data.lengths": None}}, "run.json has no data.lengths"),
        (
            {"record": {"samples.lengths": [0, 0]}},
            "samples.lengths of run.json is empty: no sample ended by itself",
        ),
    ],
)
def test_why_there_are_none(tmp_path, options, why):
    assert lengths_of(make_run(tmp_path, "gru", **options)) == why
