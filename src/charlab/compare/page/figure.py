"""What all figures of the page share: their frame, and what page.js reads from their `meta`.

trace.meta   cells: the numbers of the cells that it shows; it is hidden where one of them is
             grid:  its x, a place in layout.meta.grids; a band goes there and back
             front: true for the line along the best of the points
layout.meta  grids: {"step": [...], "chars_seen": [...], "seconds": [...]} each
             titles: of the x axis for each of them
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import plotly.graph_objects as go

from charlab.compare.page.look import INK, LINES, QUIET, Look
from charlab.compare.page.words import in_figure
from charlab.reading.curves import Numbers

MARK_PX = 10
ROW_PX = 42


@final
@dataclass(frozen=True)
class Figure:
    """A plot, and what is written above and below it. wide: it takes a row for itself."""

    name: str
    title: str
    caption: str
    plot: go.Figure
    wide: bool = False


def meta(*looks: Look, **more: Any) -> dict[str, Any]:
    return {"cells": [look.number for look in looks], **more}


def frame(height: int, x_title: str, y_title: str) -> go.Layout:
    """Axes without clutter. The title of y is above them, where it needs no turned head."""
    axis = {
        "gridcolor": LINES[0],
        "linecolor": LINES[0],
        "zeroline": False,
        "automargin": True,
        "title": {"font": {"size": 12, "color": QUIET[0]}, "standoff": 8},
    }
    title = {
        "text": y_title,
        "x": 0,
        "y": 1,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "bottom",
        "yshift": 6,
        "showarrow": False,
        "font": {"size": 12, "color": QUIET[0]},
    }
    layout = go.Layout(
        template=go.layout.Template(),
        height=height,
        margin={"l": 8, "r": 12, "t": 30 if y_title else 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 12, "color": INK[0]},
        showlegend=False,
        hoverlabel={"namelength": -1, "font": {"size": 12}},
        xaxis=axis,
        yaxis={**axis, "ticklabelposition": "outside"},
        annotations=[title] if y_title else [],
    )
    layout.xaxis.title.text = x_title
    return layout


def rows_frame(num_rows: int, x_title: str, x_range: tuple[float, float]) -> go.Layout:
    """Of rows from top to bottom, row 0 the first; what a row is stands above it, in the plot."""
    layout = frame(ROW_PX * num_rows + 72, x_title, "")
    layout.yaxis.update(
        visible=False, range=[num_rows - 0.35, -0.75], fixedrange=True, automargin=False
    )
    layout.xaxis.update(range=list(x_range), fixedrange=True)
    layout.hovermode = "closest"
    return layout


def upright(x: float, num_rows: int, colour: str) -> go.Scatter:
    """A line down through all rows at x, which leaves out what is written above them."""
    places = [y for row in range(num_rows) for y in (row - 0.2, row + 0.3, None)]
    return go.Scatter(
        x=[None if y is None else x for y in places],
        y=places,
        mode="lines",
        line={"color": colour, "width": 1},
        hoverinfo="skip",
        meta=meta(),
    )


def row_label(row: int, text: str, x: float, *looks: Look) -> go.Scatter:
    """The text above a row, from x to the right; already safe for a figure."""
    return go.Scatter(
        x=[x],
        y=[row - 0.42],
        mode="text",
        text=[text],
        textposition="middle right",
        textfont={"color": INK[0], "size": 12},
        hoverinfo="skip",
        cliponaxis=False,
        meta=meta(*looks),
    )


def level(plot: go.Figure, y: float, text: str) -> None:
    """A dashed line across at y, such as a floor."""
    plot.add_shape(
        type="line",
        xref="paper",
        x0=0,
        x1=1,
        y0=y,
        y1=y,
        line={"color": QUIET[0], "dash": "dash", "width": 1},
    )
    plot.add_annotation(
        text=in_figure(text),
        xref="paper",
        x=1,
        y=y,
        xanchor="right",
        yanchor="bottom",
        showarrow=False,
        font={"size": 11, "color": QUIET[0]},
    )


def rounded(values: Numbers | Sequence[float], digits: int = 6) -> list[float]:
    """To so many significant digits, which is more than a screen can show."""
    return [float(f"{value:.{digits}g}") for value in values]
