"""Parts of the page alone: bands over seeds, samples, colours, JSON in a script, texts."""

import json
from itertools import combinations

import numpy as np
import pytest

from charlab.compare.page.bands import band
from charlab.compare.page.look import COLOURS, DARK_PAPER, LIGHT_PAPER, Look, faint, partners
from charlab.compare.page.render import script_json
from charlab.compare.page.words import cut, harmless, in_figure
from charlab.reading.curves import Curve


def curve(steps, values):
    step = np.array(steps, dtype=np.float64)
    return Curve(step, 10 * step, step / 2, np.array(values, dtype=np.float64))


def test_a_band_of_seeds_that_validate_together_is_exact():
    found = band([curve([1, 2, 4], [3, 2, 1]), curve([1, 2, 4], [5, 2.5, 2])])
    assert found.step.tolist() == [1, 2, 4]
    assert found.mean.tolist() == [4, 2.25, 1.5]
    assert found.low.tolist() == [3, 2, 1]
    assert found.high.tolist() == [5, 2.5, 2]
    assert found.chars_seen.tolist() == [10, 20, 40]
    assert found.seconds.tolist() == [0.5, 1, 2]


def test_a_band_of_seeds_that_do_not_is_interpolated_where_all_have_been():
    found = band([curve([0, 10, 20, 30], [4, 3, 2, 1]), curve([5, 25], [10, 20])])
    assert found.step.tolist() == [10, 20]
    assert found.low.tolist() == [3, 2]
    assert found.high.tolist() == [12.5, 17.5]
    apart = band([curve([1, 2], [1, 1]), curve([5, 6], [3, 3])])
    assert (apart.step.tolist(), apart.mean.tolist()) == ([2], [2])


def test_of_two_rows_of_a_step_the_later_counts():
    assert band([curve([1, 2, 2, 3], [9, 8, 7, 6])]).mean.tolist() == [9, 7, 6]


def linear(colour):
    """Red, green and blue as light (IEC 61966-2-1)."""
    values = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """By WCAG 2."""
    light = sorted(linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)


# how light arrives with one kind of cone missing (Machado et al. 2009, severity 1)
EYES = {
    "all": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def oklab(light):
    """Ottosson 2020: distances of about 0.02 can just be seen."""
    to_cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return to_lab @ np.cbrt(to_cones @ np.clip(light, 0, 1))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_of_cells_stand_out_from_the_paper(theme):
    place = ["light", "dark"].index(theme)
    paper = (LIGHT_PAPER, DARK_PAPER)[place]
    assert min(contrast(pair[place], paper) for pair in COLOURS) >= 3


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_of_cells_can_be_told_apart(theme, eyes):
    place = ["light", "dark"].index(theme)
    seen = [oklab(EYES[eyes] @ linear(pair[place])) for pair in COLOURS]
    distances = [np.linalg.norm(one - other) for one, other in combinations(seen, 2)]
    assert min(distances) > 0.06
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen[:4], 2)) > 0.1


def test_cells_beyond_the_palette_have_another_line_and_mark():
    looks = [Look(number, str(number)) for number in range(40)]
    assert len({(look.colour, look.dash, look.mark) for look in looks}) == 40
    for look in looks:
        assert partners()[look.band_colour] == faint(look.colours[1])


def test_json_in_a_script_cannot_end_it():
    value = {"a</script>": ["<!--", "\u2028", "&amp;", "\ud800", "ü"]}
    text = script_json(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value


def test_texts_are_made_harmless():
    assert harmless("a\0b\x1b[0m\u202ec\ud800\tü\n") == "a\ufffdb\ufffd[0m\ufffdc\ufffd\tü\n"
    assert in_figure("<b>\n$x$ &") == "&lt;b&gt; &#36;x&#36; &amp;"
    assert cut("a long label of a cell", 12) == "a long l…ell"
    assert cut("short", 5) == "short"
