"""Curves of metrics.jsonl, beside a reader that parses every row."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlab.reading.curves import read_curves


def naive(lines, metric):
    """(line, step, chars_seen, seconds, value) of every sound row that has a finite value."""
    found = []
    for number, line in enumerate(lines):
        try:
            row = json.loads(line)
            point = [row[name] for name in ("step", "chars_seen", "seconds", metric)]
            if isinstance(row["step"], int) and all(math.isfinite(value) for value in point):
                found.append((number, *point))
        except (ValueError, KeyError, TypeError):
            continue
    return found


def naively_thinned(lines, metric, most):
    """What is documented: all, or from evenly spread lines the first that comes, and the last."""
    points = naive(lines, metric)
    # a damaged line may have it twice
    if sum(line.count(f'"{metric}"'.encode()) for line in lines) <= most:
        return [point[1:] for point in points]
    kept = {}
    for start in np.linspace(0, len(lines) - 1, most).round():
        kept.update([(point[1:], None) for point in points if point[0] >= start][:1])
    kept.update([(point[1:], None) for point in points[-1:]])
    return list(kept)


def row(step, **metrics):
    values = {"step": step, "chars_seen": 10 * step, "seconds": step / 7, **metrics}
    return json.dumps(values).encode()


def rows_of_a_run(num_rows, every):
    lines = [row(0, **{"baseline/ngram1_bpc": 4.8})]
    for step in range(1, num_rows + 1):
        lines.append(row(step, **{"train/bpc": 5 - step / num_rows, "optim/lr": 0.1}))
        if step % every == 0:
            lines.append(row(step, **{"val/bpc": 4 - step / num_rows}))
    return [*lines, row(num_rows, **{"test/bpc": 3.3})]


def written(run, lines, end=b"\n"):
    run.mkdir(exist_ok=True)
    (run / "metrics.jsonl").write_bytes(b"\n".join(lines) + end)
    return run


def points(curve):
    return [tuple(map(float, point)) for point in zip(*curve, strict=True)]


def test_every_point_is_kept_where_there_is_room(tmp_path):
    lines = rows_of_a_run(30, every=10)
    curves = read_curves(written(tmp_path, lines), ["val/bpc", "train/bpc"], 30)
    assert points(curves["train/bpc"]) == [point[1:] for point in naive(lines, "train/bpc")]
    assert points(curves["val/bpc"]) == [
        (step, 10 * step, step / 7, 4 - step / 30) for step in (10, 20, 30)
    ]


@pytest.mark.parametrize("most", [2, 7, 100])
def test_more_points_are_thinned_evenly_and_the_last_stays(tmp_path, most):
    lines = rows_of_a_run(1000, every=50)
    curve = read_curves(written(tmp_path, lines), ["train/bpc"], most)["train/bpc"]
    assert points(curve) == naively_thinned(lines, "train/bpc", most)
    assert most <= len(curve.step) <= most + 1
    assert (curve.step[0], curve.step[-1]) == (1, 1000)
    assert np.diff(curve.step).max() <= 1.1 * 1000 / (most - 1) + 2


def test_curves_of_two_seeds_have_the_same_steps(tmp_path):
    lines = rows_of_a_run(1000, every=50)
    other = [line.replace(b"0.1", b"0.123456789") for line in lines]
    one = read_curves(written(tmp_path / "one", lines), ["train/bpc"], 40)
    two = read_curves(written(tmp_path / "two", other), ["train/bpc"], 40)
    assert one["train/bpc"].step.tolist() == two["train/bpc"].step.tolist()


DAMAGED = [
    b'{"step": 5, "chars_seen": 50, "seconds": 1.0, "train/b',
    b'{"step": 5, "chars_seen": 50, "seconds": 1.0, "train/bpc": 3.1',
    b'{"step": 5, "train/bpc": 1{"step": 6, "chars_seen": 1, "seconds": 1, "train/bpc": 2}',
    b'{"step": 5, "chars_seen": 50, "seconds": 1.0, "train/bpc": null}',
    b'{"step": 5, "chars_seen": 50, "seconds": 1.0, "train/bpc": NaN}',
    b'{"step": 5, "chars_seen": 50, "seconds": 1.0, "train/bpc": "3.1"}',
    b'{"step": 5, "seconds": 1.0, "train/bpc": 3.1}',
    b'{"step": "5", "chars_seen": 50, "seconds": 1.0, "train/bpc": 3.1}',
    b'["train/bpc"]',
    b'"train/bpc"',
    b"\0\0\0\0",
    b"",
    b"\xff\xfe train/bpc",
]


@settings(deadline=None, max_examples=200)
@given(
    kinds=st.lists(st.sampled_from([*range(len(DAMAGED)), *["sound"] * 8, *["other"] * 2])),
    most=st.integers(min_value=1, max_value=8),
    end=st.sampled_from([b"\n", b""]),
)
def test_damaged_rows_are_passed_over_as_a_reader_of_all_rows_does(
    tmp_path_factory, kinds, most, end
):
    sound = {"sound": lambda step: row(step, **{"train/bpc": step / 3})}
    other = {"other": lambda step: row(step, **{"val/bpc": 1.0})}
    make = sound | other
    lines = [
        make[kind](step) if isinstance(kind, str) else DAMAGED[kind]
        for step, kind in enumerate(kinds)
    ]
    run = written(tmp_path_factory.mktemp("run"), lines, end)
    text = (run / "metrics.jsonl").read_bytes()
    all_lines = text.removesuffix(b"\n").split(b"\n")
    curves = read_curves(run, ["train/bpc"], most)
    found = points(curves["train/bpc"]) if curves else []
    assert found == naively_thinned(all_lines, "train/bpc", most)


def test_a_run_without_rows_of_a_metric_has_no_curve_of_it(tmp_path):
    assert read_curves(tmp_path, ["val/bpc"]) == {}
    run = written(tmp_path, rows_of_a_run(20, every=50))
    assert list(read_curves(run, ["val/bpc", "train/bpc"])) == ["train/bpc"]


def test_a_number_that_no_float_holds_is_no_point(tmp_path):
    lines = [row(1, **{"val/bpc": 10**400}), row(2, **{"val/bpc": 3.0})]
    curve = read_curves(written(tmp_path, lines), ["val/bpc"])["val/bpc"]
    assert points(curve) == [(2, 20, 2 / 7, 3.0)]
