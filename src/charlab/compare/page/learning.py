"""Learning curves: bits on validation and in training, against steps, characters and time."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import plotly.graph_objects as go

from charlab.compare.comparison import ComparisonSet, Variant
from charlab.compare.page.bands import Band, band
from charlab.compare.page.figure import Figure, frame, level, meta, rounded
from charlab.compare.page.look import Look
from charlab.compare.page.words import in_figure
from charlab.reading.curves import read_curves

METRICS = {"val/bpc": "validation", "train/bpc": "training"}
CAPTIONS = {
    "validation": "Lines: the mean over seeds. Bands: from the lowest seed to the highest. What "
    "comes before a tenth of the steps may lie above the frame; a double click shows all.",
    "training": "As on validation; over the steps since the row before, with dropout where there "
    "is some. The weights change meanwhile.",
}
# of all curves of a figure together
MOST_POINTS = 24_000
# more are too many to be read side by side
MOST_IN_HOVER = 8


def learning(one: ComparisonSet, looks: dict[str, Look], name: str) -> list[Figure]:
    """A figure of each metric that there are rows of."""
    most = max(40, min(150, MOST_POINTS // len(one.variants)))
    # files are read by the one thread while the other parses
    with ThreadPoolExecutor(max_workers=2) as pool:
        read = pool.map(
            lambda run: read_curves(run.path, tuple(METRICS), most),
            [run for variant in one.variants for run in variant.runs],
        )
        curves = [(variant, [next(read) for _ in variant.runs]) for variant in one.variants]
    figures = []
    for metric, split in METRICS.items():
        bands = [
            (variant, band(found))
            for variant, of_runs in curves
            if (found := [of_run[metric] for of_run in of_runs if metric in of_run])
        ]
        if bands:
            figures.append(_figure(one, bands, looks, f"{name}-{split}", split))
    return figures


def _figure(
    one: ComparisonSet,
    bands: Sequence[tuple[Variant, Band]],
    looks: dict[str, Look],
    name: str,
    split: str,
) -> Figure:
    longest_s = max(float(found.seconds[-1]) for _, found in bands)
    unit, unit_s = next(
        (unit, size) for unit, size in UNITS.items() if longest_s >= 2 * size or size == 1
    )
    layout = frame(340, "training steps", f"bits/{one.unit} in {split}")
    layout.yaxis.range = _range([found for _, found in bands])
    layout.hovermode = "x unified" if len(bands) <= MOST_IN_HOVER else "closest"
    layout.meta = {
        "grids": [_grid(found, unit_s) for _, found in bands],
        "titles": {
            "step": "training steps",
            "chars_seen": f"{one.unit}s seen",
            "seconds": f"{unit} since the start",
        },
    }
    plot = go.Figure(layout=layout)
    if split == "validation" and one.best_floor is not None:
        level(plot, one.best_floor.val_bpc, one.best_floor.label)
    several = [(grid, v, found) for grid, (v, found) in enumerate(bands) if len(v.runs) > 1]
    plot.add_traces([_band(grid, found, looks[v.label]) for grid, v, found in several])
    plot.add_traces([_line(grid, found, looks[v.label]) for grid, (v, found) in enumerate(bands)])
    return Figure(name, split.capitalize(), CAPTIONS[split], plot)


UNITS = {"hours": 3600, "minutes": 60, "seconds": 1}


def _grid(found: Band, unit_s: int) -> dict[str, list[float]]:
    return {
        "step": rounded(found.step, 9),
        "chars_seen": rounded(found.chars_seen),
        "seconds": rounded(found.seconds / unit_s, 5),
    }


def _range(bands: Sequence[Band]) -> list[float]:
    """Of y: all but the first tenth of the steps, where curves fall from far above."""
    last = max(float(found.step[-1]) for found in bands)
    high = max(
        float(found.high[found.step >= min(0.1 * last, found.step[-1])].max()) for found in bands
    )
    low = min(float(found.low.min()) for found in bands)
    pad = 0.05 * (high - low) or 0.05
    return [low - pad, high + pad]


def _band(grid: int, found: Band, look: Look) -> go.Scatter:
    return go.Scatter(
        y=[*rounded(found.high), *rounded(found.low[::-1])],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=look.band_colour,
        hoverinfo="skip",
        meta=meta(look, grid=grid),
    )


def _line(grid: int, found: Band, look: Look) -> go.Scatter:
    return go.Scatter(
        y=rounded(found.mean),
        mode="lines+markers" if len(found.step) <= 20 else "lines",
        name=in_figure(look.label),
        line={"color": look.colour, "dash": look.dash, "width": 2},
        marker={"size": 5, "symbol": look.mark},
        hovertemplate="%{y:.4f}",
        meta=meta(look, grid=grid),
    )
