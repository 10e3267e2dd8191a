"""The text of the page: the template, filled with what the other modules make of a comparison."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any, final

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

import charlab
from charlab.compare.comparison import Comparison, ComparisonSet
from charlab.compare.page.differences import MOST_PAIRS, differences, shown_pairs
from charlab.compare.page.figure import Figure
from charlab.compare.page.headline import KeyFigure, headline, key_figures
from charlab.compare.page.insight import insight
from charlab.compare.page.learning import learning
from charlab.compare.page.look import Look, looks, partners
from charlab.compare.page.origin import origin, settings
from charlab.compare.page.samples import Samples, samples
from charlab.compare.page.scores import against, every_seed, throughput
from charlab.compare.page.table import Table, table
from charlab.compare.page.words import harmless
from charlab.compare.sentences import how_pairs_are_judged, percent


@final
@dataclass(frozen=True)
class Section:
    """What the page shows of a set; more_sentences: those of pairs that are not in a figure."""

    name: str
    title: str
    headline: str
    key_figures: Sequence[KeyFigure]
    looks: Sequence[Look]
    table: Table
    sentences: Sequence[str]
    more_sentences: Sequence[str]
    judged: str
    notes: Sequence[str]
    results: Sequence[Figure]
    curves: Sequence[Figure]
    costs: Sequence[Figure]
    insight: Sequence[Figure]
    samples: Samples

    @property
    def figures(self) -> Sequence[Figure]:
        return [*self.results, *self.curves, *self.costs, *self.insight]


def render(comparison: Comparison, *, command: str, made: datetime) -> str:
    """The page; command: what made it."""
    look_of = looks(comparison)
    sections = [
        _section(one, look_of, comparison.confidence, f"set{number}")
        for number, one in enumerate(comparison.sets, 1)
    ]
    figures = {figure.name: figure for section in sections for figure in section.figures}
    script = _asset("page.js")
    library = get_plotlyjs()
    environment = Environment(
        loader=PackageLoader("charlab.compare", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["harmless"] = harmless
    text = environment.get_template("page.html.j2").render(
        comparison=comparison,
        sections=sections,
        settings=settings(comparison, look_of),
        origin=origin(comparison, look_of),
        command=command,
        percent=percent(comparison.confidence),
        made=made,
        version=charlab.__version__,
        style=_asset("page.css"),
        script=script,
        library=library,
        hashes=[_hash(library), _hash(script)],
        data=script_json(
            {
                "partners": partners(),
                "labels": [look.label for look in look_of.values()],
                "figures": {name: figure.plot.to_plotly_json() for name, figure in figures.items()},
            }
        ),
    )
    # a path may hold bytes that are no text
    return text.encode(errors="replace").decode()


def _section(one: ComparisonSet, look_of: dict[str, Look], confidence: float, name: str) -> Section:
    shown = shown_pairs(one)
    in_figure = set(map(id, shown))
    rest = [pair.sentence for pair in one.pairs if id(pair) not in in_figure]
    results = [
        differences(one, look_of, confidence, f"{name}-pairs"),
        every_seed(one, look_of, confidence, f"{name}-seeds"),
    ]
    costs = [
        against(
            one,
            look_of,
            f"{name}-parameters",
            "Score and size",
            "parameters",
            "parameters are the numbers that are trained",
            lambda variant: variant.num_params,
        ),
        against(
            one,
            look_of,
            f"{name}-time",
            "Score and time",
            "seconds of training",
            "the time is that of training steps alone",
            lambda variant: variant.train_s,
        ),
        throughput(one, look_of, f"{name}-throughput"),
    ]
    return Section(
        name=name,
        title=one.title,
        headline=headline(one),
        key_figures=key_figures(one),
        looks=[look_of[variant.label] for variant in one.variants],
        table=table(one, look_of, confidence),
        judged=how_pairs_are_judged(one, confidence),
        sentences=[pair.sentence for pair in shown[:MOST_PAIRS]],
        more_sentences=[*(pair.sentence for pair in shown[MOST_PAIRS:]), *rest][:MOST_SENTENCES],
        notes=one.notes,
        results=[figure for figure in results if figure is not None],
        curves=learning(one, look_of, f"{name}-learning"),
        costs=[figure for figure in costs if figure is not None],
        insight=insight(one, look_of, f"{name}-insight"),
        samples=samples(one, look_of),
    )


# beyond these, --json and --csv have them all
MOST_SENTENCES = 400


def script_json(value: Any) -> str:
    """JSON that ends no <script>, wherever its strings come from."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _asset(name: str) -> str:
    return (resources.files("charlab.compare.page") / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """By which the page allows its own scripts, and no others."""
    assert "\r" not in script, "a browser would hash another text"
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
