"""How long real items are, and sampled ones."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from charlab.picture import COLOURS, new_figure, style
from charlab.plot.missing import Missing
from charlab.reading.facts import RunFacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAR_WIDTH = 0.4
MAX_LENGTHS = 60
# an entry is missing
WHY = {
    "data": "",
    "samples": ": samples are counted at the end of a run that did not diverge",
}


def draw_lengths(run: RunFacts) -> "Figure":
    """Parts of 1, of the items of train and of the samples that the model ended.

    Raises Missing for a stream, and before the samples of a run's end are drawn.
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    document = run.data.get("document")
    if run.data and document is None:
        raise Missing("the data are one long text, without items that have lengths")
    real = _counts(run.data, "data")
    sampled = _counts(run.record.get("samples") or {}, "samples")
    width = min(max(len(real), len(sampled)), MAX_LENGTHS + 1)
    series = {"real": _parts(real, width), "sampled": _parts(sampled, width)}
    overlap = np.minimum(*series.values()).sum()
    figure = new_figure()
    axes = figure.add_subplot()
    style(axes, f"lengths of {document}s", f"{run.name} · {overlap:.0%} in common")
    first = min(int(np.flatnonzero(parts)[0]) for parts in series.values())
    places = np.arange(first, width)
    for (label, parts), counts, colour, side in zip(
        series.items(), (real, sampled), COLOURS, (-1, 1), strict=True
    ):
        mean = np.average(np.arange(len(counts)), weights=counts)
        axes.bar(
            places + side * BAR_WIDTH / 2,
            parts[first:],
            BAR_WIDTH,
            color=colour,
            label=f"{label}: {counts.sum():,.0f}, mean {mean:.2f}",
        )
    axes.xaxis.set_major_locator(MaxNLocator(nbins=20, integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("length in characters" + _cut_note(max(len(real), len(sampled))))
    axes.set_ylabel(f"part of the {document}s")
    axes.legend(frameon=False)
    return figure


def _counts(section: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    found = section.get("lengths")
    if found is None:
        raise Missing(f"run.json has no {name}.lengths{WHY[name]}")
    counts = np.array(found, dtype=np.float64)
    if counts.sum() == 0:
        raise Missing(f"{name}.lengths of run.json is empty: no sample ended by itself")
    return counts


def _parts(counts: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Of 1, at lengths 0 ... width - 1; the last one has all that is longer."""
    parts = np.zeros(max(width, len(counts)))
    parts[: len(counts)] = counts / counts.sum()
    parts[width - 1] = parts[width - 1 :].sum()
    return parts[:width]


def _cut_note(num_lengths: int) -> str:
    return f" ({MAX_LENGTHS}: and more)" if num_lengths > MAX_LENGTHS + 1 else ""
