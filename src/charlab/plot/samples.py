"""A sheet of what a model wrote: by prompt and temperature, from its first samples to its last."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np

from charlab.picture import COLOURS, DPI, GREY, LIGHT_GREY, new_figure
from charlab.plot.missing import Missing
from charlab.plot.text import drawable, families, filled, wrapped
from charlab.reading.facts import RunFacts
from charlab.reading.row_files import samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# points of the last samples, and of earlier ones
LAST_PT, EARLIER_PT, HEAD_PT = 10.0, 7.5, 9.0
# of the size of a monospaced font; its characters are whole pixels wide
CHAR_WIDTH, LINE_HEIGHT = 0.602, 1.45
COLUMN_IN, MARGIN_IN, STEP_IN = 5.6, 0.35, 0.75
MOST_BLOCKS, MOST_EARLIER = 8, 6
# samples of the last step, and lines of one of them
MOST_LAST, MOST_LINES = 8, 5
# a text at most so long stands in a line with others
SHORT = 24

Key = tuple[str, float]


@final
class Line(NamedTuple):
    """A line of a block; label: what stands before it."""

    text: str
    size_pt: float
    label: str = ""

    @property
    def height_in(self) -> float:
        return self.size_pt * LINE_HEIGHT / 72


def draw_samples(run: RunFacts) -> "Figure":
    """The last samples of each prompt and temperature large, earlier ones in a line each.

    Raises Missing where no sample was drawn yet.
    """
    by_key = read_samples(run)
    shown = dict(islice(by_key.items(), MOST_BLOCKS))
    blocks = [list(_block(key, steps)) for key, steps in shown.items()]
    num_columns = min(2, len(blocks))
    heights_in = [
        max(sum(line.height_in for line in block) for block in blocks[start : start + num_columns])
        for start in range(0, len(blocks), num_columns)
    ]
    head_in = 0.55
    height_in = head_in + sum(heights_in) + MARGIN_IN * len(heights_in)
    width_in = num_columns * (COLUMN_IN + MARGIN_IN) + MARGIN_IN
    figure = new_figure(width_in, height_in)
    figure.set_layout_engine("none")
    last = max(step for steps in by_key.values() for step in steps)
    remark = f"samples up to step {last:,}"
    if len(by_key) > len(blocks):
        remark += f" · the first {len(blocks)} of {len(by_key)} prompts and temperatures"
    pen = _Pen(figure, width_in, height_in)
    pen.write(MARGIN_IN, 0.3, run.name, size=12, color="black", parse_math=False)
    pen.write(width_in - MARGIN_IN, 0.3, remark, size=10, color=GREY, ha="right")
    top_in = head_in
    for start, block_in in zip(range(0, len(blocks), num_columns), heights_in, strict=True):
        for column, block in enumerate(blocks[start : start + num_columns]):
            _draw_block(pen, block, MARGIN_IN + column * (COLUMN_IN + MARGIN_IN), top_in)
        top_in += block_in + MARGIN_IN
    return figure


def read_samples(run: RunFacts) -> dict[Key, dict[int, list[str]]]:
    """The texts by (prompt, temperature), and by step. One that was cut ends in "…"."""
    if not (run.path / "samples.jsonl").exists():
        raise Missing("there is no samples.jsonl: none drawn yet, or callbacks.samples is off")
    found: dict[Key, dict[int, list[str]]] = {}
    for row in samples(run.path):
        key = (row["prompt"], float(row["temperature"]))
        text = row["text"] + ("" if row.get("ended") else "…")
        found.setdefault(key, {}).setdefault(row["step"], []).append(text)
    if not found:
        raise Missing("samples.jsonl has no whole row")
    return dict(sorted(found.items()))


def _block(key: Key, steps: Mapping[int, Sequence[str]]) -> Iterator[Line]:
    """From the last step back: what a reader wants first stands on top."""
    prompt, temperature = key
    told = f"after “{drawable(prompt)}”" if prompt else "from nothing"
    yield Line(f"{told} at temperature {temperature:g}", HEAD_PT)
    *earlier, last = sorted(steps)
    texts = [drawable(text) for text in steps[last][:MOST_LAST]]
    label = f"{last:,}"
    for text in _lines(texts, _columns(LAST_PT)):
        yield Line(text, LAST_PT, label)
        label = ""
    kept = np.linspace(0, len(earlier) - 1, min(MOST_EARLIER, len(earlier))).round().astype(int)
    for step in (earlier[index] for index in reversed(kept.tolist())):
        texts = [drawable(text) for text in steps[step]]
        yield Line(next(_lines(texts, _columns(EARLIER_PT))), EARLIER_PT, f"{step:,}")


def _columns(size_pt: float) -> int:
    return int((COLUMN_IN - STEP_IN) * DPI / math.ceil(size_pt * CHAR_WIDTH * DPI / 72))


def _lines(texts: Sequence[str], width: int) -> Iterator[str]:
    if all(len(text) <= SHORT for text in texts):
        yield from filled(texts, width)
        return
    for text in texts:
        yield from islice(wrapped(text, width), MOST_LINES)


@final
class _Pen:
    """Writes at inches from the upper left corner."""

    def __init__(self, figure: "Figure", width_in: float, height_in: float) -> None:
        self.figure = figure
        self.width_in, self.height_in = width_in, height_in

    def place(self, left_in: float, top_in: float) -> tuple[float, float]:
        return left_in / self.width_in, 1 - top_in / self.height_in

    def write(self, left_in: float, top_in: float, text: str, **looks: Any) -> None:
        self.figure.text(*self.place(left_in, top_in), text, va="center", **looks)


def _draw_block(pen: _Pen, block: Sequence[Line], left_in: float, top_in: float) -> None:
    from matplotlib.lines import Line2D

    head, *lines = block
    middle_in = top_in + head.height_in / 2
    looks = {"parse_math": False, "family": families()}
    pen.write(left_in, middle_in, head.text, size=head.size_pt, color=COLOURS[0], **looks)
    rule = [pen.place(left_in + shift, top_in + head.height_in) for shift in (0, COLUMN_IN)]
    pen.figure.add_artist(Line2D(*zip(*rule, strict=True), color=LIGHT_GREY, linewidth=0.8))
    top_in += head.height_in + 0.05
    for line in lines:
        middle_in = top_in + line.height_in / 2
        pen.write(left_in + STEP_IN - 0.12, middle_in, line.label, size=7.5, color=GREY, ha="right")
        colour = "black" if line.size_pt == LAST_PT else GREY
        pen.write(left_in + STEP_IN, middle_in, line.text, size=line.size_pt, color=colour, **looks)
        top_in += line.height_in
