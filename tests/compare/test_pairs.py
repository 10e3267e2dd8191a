"""Differences by seed, and the sentences that say them."""

import statistics

import numpy as np
import pytest

from charlab.compare.comparison import ComparisonSet
from charlab.compare.pairs import pair_all
from charlab.compare.sentences import how_pairs_are_judged, interval, number, percent
from charlab.compare.statistics import mean_interval


def by_seed(*scores):
    return dict(enumerate(scores))


def pairs(confidence=0.95, **scores):
    given = [(label, by_seed(*own)) for label, own in scores.items()]
    return pair_all(given, "char", confidence)


# 5 seeds: gru is 0.08 below rnn, with little scatter
CLEAR = {
    "gru": (3.280, 3.270, 3.290, 3.275, 3.285),
    "rnn": (3.360, 3.360, 3.365, 3.355, 3.360),
}


def test_a_pair_is_the_mean_of_the_differences_seed_by_seed():
    (pair,) = pairs(**CLEAR)
    differences = [rnn - gru for gru, rnn in zip(CLEAR["gru"], CLEAR["rnn"])]
    assert (pair.better, pair.worse, pair.n) == ("gru", "rnn", 5)
    assert pair.difference == pytest.approx(statistics.fmean(differences), rel=1e-12)
    assert (pair.low, pair.high) == pytest.approx(mean_interval(differences, 0.95))
    assert pair.verdict == "beats"
    expected = f"gru beats rnn by 0.080 bits/char [{pair.low:.3f}, {pair.high:.3f}], 5 seeds"
    assert pair.sentence == expected
    assert pair.seeds_needed is None


def test_pairing_sees_what_seeds_have_in_common():
    """Scores scatter by 0.5 from seed to seed; the difference is 0.01 on each."""
    common = (3.0, 3.5, 2.8, 3.3, 3.9)
    (pair,) = pairs(a=common, b=tuple(one + 0.01 + 0.0005 * n for n, one in enumerate(common)))
    assert pair.verdict == "beats"
    assert pair.low > 0.009


def test_what_is_too_close_says_how_many_seeds_it_would_take():
    (pair,) = pairs(gru=(3.28, 3.30, 3.29, 3.27, 3.28), lstm=(3.29, 3.29, 3.30, 3.28, 3.28))
    assert pair.verdict == "close"
    assert pair.low < 0 < pair.high
    # (t(0.975) + t(0.8))^2 sd^2 / mean^2 = (2.020 + 0.851)^2 * 5 with 41 degrees of freedom
    assert pair.seeds_needed == 42
    ends = interval(pair.low, pair.high)
    assert pair.sentence == (
        f"too close to call: gru and lstm differ by 0.004 {ends}, 5 seeds; "
        "it would take about 42 seeds to show such a difference"
    )


def test_what_no_number_of_seeds_would_show_asks_for_more():
    (pair,) = pairs(gru=(3.28, 3.30, 3.29), lstm=(3.30, 3.28, 3.2901))
    assert (pair.verdict, pair.seeds_needed) == ("close", None)
    assert pair.sentence.startswith("too close to call: gru and lstm differ by 0.00003 [")
    assert pair.sentence.endswith(", 3 seeds; add seeds")


def test_among_many_pairs_one_may_be_chance():
    """The interval of this pair is beside 0; that at the level of all 6 is not."""
    a, b = (0.0, 0.0, 0.0, 0.0), (0.11, 0.02, 0.07, 0.12)
    (alone,) = pairs(a=a, b=b)
    assert alone.verdict == "beats"
    far = {label: tuple(one + base for one in b) for label, base in (("c", 5), ("d", 9))}
    among = {(pair.better, pair.worse): pair for pair in pairs(a=a, b=b, **far)}
    assert len(among) == 6
    pair = among["a", "b"]
    assert (pair.low, pair.high) == pytest.approx((alone.low, alone.high))
    assert pair.verdict == "alone"
    assert pair.sentence == (
        f"a probably beats b by 0.080 bits/char {interval(pair.low, pair.high)}, 4 seeds; "
        "among 6 pairs one such difference may be chance"
    )
    assert pair.seeds_needed is not None


def test_pairs_without_an_interval_do_not_make_the_others_stricter():
    a, b = (0.0, 0.0, 0.0, 0.0), (0.11, 0.02, 0.07, 0.12)
    found = {(pair.better, pair.worse): pair for pair in pairs(a=a, b=b, c=(5.0,), d=(9.0,))}
    assert found["a", "b"].verdict == "beats"
    assert found["a", "c"].verdict == "few"


def test_one_seed_in_common_is_said_without_an_interval():
    (pair,) = pairs(gru=(3.28, 3.2), lstm=(3.30,))
    assert (pair.n, pair.low, pair.high, pair.verdict) == (1, None, None, "few")
    assert pair.sentence == "gru is 0.020 bits/char below lstm on one seed"
    (equal,) = pairs(gru=(3.28,), lstm=(3.28,))
    assert equal.sentence == "gru and lstm have the same score on one seed"


def test_no_seed_in_common_is_said():
    (pair,) = pair_all([("gru", {0: 3.2, 1: 3.3}), ("lstm", {5: 3.15})], "byte", 0.95)
    assert (pair.better, pair.n, pair.verdict) == ("lstm", 0, "few")
    assert pair.difference == pytest.approx(0.1)
    assert pair.sentence == "lstm is 0.100 bits/byte below gru, but they have no seed in common"


def test_twins_have_the_same_mean():
    (pair,) = pairs(gru=(3.28, 3.29), custom_gru=(3.28, 3.29))
    assert (pair.verdict, pair.difference, pair.low, pair.high) == ("close", 0, 0, 0)
    assert pair.sentence == (
        "too close to call: gru and custom_gru have the same mean [0.000, 0.000], 2 seeds"
    )


def test_what_is_shown_as_zero_is_no_difference():
    (pair,) = pairs(gru=(3.28, 3.29, 3.27), lstm=(3.2800001, 3.2900002, 3.2700001))
    assert (pair.verdict, pair.seeds_needed) == ("close", None)
    assert pair.sentence == (
        "too close to call: gru and lstm have the same mean [0.000000, 0.000000], 3 seeds"
    )
    (equal,) = pairs(gru=(3.28, 3.28, 3.28), lstm=(3.28, 3.28, 3.28))
    assert equal.seeds_needed is None


def test_the_largest_difference_comes_first():
    found = pairs(a=(1.0, 1.1), b=(3.0, 3.1), c=(1.5, 1.4))
    assert [(pair.better, pair.worse) for pair in found] == [("a", "b"), ("c", "b"), ("a", "c")]
    assert all(pair.difference >= 0 for pair in found)


def test_the_confidence_is_that_which_was_asked():
    (wide,) = pairs(0.99, **CLEAR)
    (narrow,) = pairs(0.8, **CLEAR)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("ends", "shown"),
    [
        ((0.0601, 0.0999), "[0.060, 0.100]"),
        ((-0.010, 0.018), "[-0.010, 0.018]"),
        # an end that is not 0 does not look like 0
        ((0.0002, 0.0123), "[0.0002, 0.0123]"),
        ((-0.00004, 0.5), "[-0.00004, 0.50000]"),
        ((0.0, 0.0), "[0.000, 0.000]"),
        ((-1e-12, 1e-12), "[0.000000, 0.000000]"),
    ],
)
def test_intervals_are_shown_with_the_digits_that_they_need(ends, shown):
    assert interval(*ends) == shown


def test_numbers_have_no_minus_before_zero():
    assert [number(-0.0001), number(0.0), number(-0.0006)] == ["0.000", "0.000", "-0.001"]


@pytest.mark.parametrize(
    ("confidence", "shown"),
    [
        (0.95, "95%"),
        (0.9, "90%"),
        (1 - 0.05 / 6, "99.2%"),
        (1 - 0.05 / 100, "99.95%"),
        (0.5, "50%"),
    ],
)
def test_levels_are_shown_with_the_digits_that_tell_them_from_100(confidence, shown):
    assert percent(confidence) == shown


def judged(found):
    return how_pairs_are_judged(
        ComparisonSet("t", "char", "test", (), tuple(found), (), ()), confidence=0.95
    )


def test_how_pairs_are_judged_is_said_in_a_line():
    own = "95% bootstrap intervals of the mean difference, paired by seed"
    assert judged(pairs(**CLEAR)) == own
    three = pairs(**CLEAR, lstm=CLEAR["gru"])
    assert judged(three) == f'{own}; "beats" holds for all 3 pairs at once (each at 98.3%)'
    assert judged(pairs(gru=(3.2,), lstm=(3.3,))) == ""


def test_of_four_equal_variants_one_beats_another_once_in_twenty_times():
    """What a seed does to all four is there, too: pairing takes it out."""
    generator = np.random.default_rng(8)
    num_sets, num_false = 200, 0
    for _ in range(num_sets):
        scores = generator.normal(size=(4, 5)) + 3 * generator.normal(size=5)
        given = [(f"v{number}", by_seed(*own)) for number, own in enumerate(scores)]
        num_false += any(pair.verdict == "beats" for pair in pair_all(given, "char", 0.95))
    # 0.015 is a standard error
    assert 0.01 <= num_false / num_sets < 0.1
