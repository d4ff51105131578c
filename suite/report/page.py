"""The page: one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, get_args

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from suite.records.cell import Cell
from suite.report import bars, charts, exports, machines, overview, words
from suite.report.batches import BatchLine, sizes
from suite.report.charts import Chart
from suite.report.document import Entry, Report, Section
from suite.report.looks import PHASES, look
from suite.report.measures import Point, Speed
from suite.report.sources import implementations
from tasks.task import Precision


@dataclass
class Figures:
    """Numbers the charts as they are placed and keeps them for the page's script."""

    found: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def place(self, chart: Chart) -> str:
        """The element's name for a chart."""
        name = f"figure-{len(self.found) + 1}"
        self.found[name] = chart.figure
        return name


def environment() -> Environment:
    """The environment that makes pages: templates, and filters that write numbers and names."""
    found = Environment(
        loader=PackageLoader("suite.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        **{f.__name__: f for f in (words.figure, words.rate, words.percent, words.seconds)},
        **{f.__name__: f for f in (words.megabytes, words.error, words.backend, words.ranges)},
        **{f.__name__: f for f in (exports.spread, exports.times, words.listed)},
    }
    return found


def render(report: Report) -> str:
    """The page as text."""
    return (
        environment()
        .get_template("template.html.jinja")
        .render(
            report=report,
            charts=charts,
            bars=bars,
            overview=overview,
            machines=machines,
            count=words.count,
            metrics_of=metrics_of,
            rows_of=rows_of,
            missing_of=missing_of,
            timed_name=timed_name,
            sizes=sizes,
            words=words,
            precisions_of=precisions_of,
            name_of=name_of,
            order=words.order,
            implementations=implementations,
            look=look,
            phase_looks=PHASES,
            figures=Figures(),
            style=asset("style.css"),
            script=asset("script.js"),
            plotly=Markup(get_plotlyjs()),
        )
    )


def asset(name: str) -> Markup:
    """A style sheet or script of pages."""
    return Markup((files("suite.report") / name).read_text(encoding="utf-8"))


def metrics_of(section: Section) -> list[str]:
    """The metrics that have curves."""
    return list(dict.fromkeys(curve.metric for curve in section.curves))


@dataclass(frozen=True)
class Rows:
    """A metric's curves as a table: by epoch, each curve's point there and whether it is timed."""

    names: list[str]
    lines: list[tuple[float, list[tuple[Point | None, bool]]]]


def rows_of(section: Section, metric: str) -> Rows:
    """The table that says what a metric's figures show."""
    curves = [curve for curve in section.curves if curve.metric == metric]
    points = [{point.epoch: point for point in curve.points} for curve in curves]
    return Rows(
        [curve.name for curve in curves],
        [
            (epoch, [(p.get(epoch), c.timed) for p, c in zip(points, curves, strict=True)])
            for epoch in sorted({epoch for found in points for epoch in found})
        ],
    )


def timed_name(among: Sequence[Speed | BatchLine], one: Speed | BatchLine) -> str:
    """The name of one of those that were timed."""
    return words.name(one.backend, one.mode, [(a.backend, a.mode) for a in among])


@dataclass(frozen=True)
class Precisions:
    """One task under several precisions: each backend's name, section and entry, line by line."""

    section: Section
    """The first of them."""
    rows: list[tuple[str, Section, Entry]]


def precisions_of(report: Report) -> list[Precisions]:
    """Those tasks that the report has under several precisions, all else being equal."""
    groups: dict[tuple[Any, ...], list[Section]] = {}
    for section in report.sections:
        key = section.conditions.without("precision").key
        groups.setdefault(key, []).append(section)
    known = get_args(Precision)
    found = []
    for group in groups.values():
        pairs = [(section, entry) for section in group for entry in section.entries]
        keys = [(entry.backend, entry.mode) for _, entry in pairs]
        pairs.sort(
            key=lambda p: (
                report.columns.index((p[1].backend, p[1].mode)),
                known.index(p[0].conditions.precision),
            )
        )
        rows = [(words.name(e.backend, e.mode, keys), section, e) for section, e in pairs]
        if len(group) > 1:
            found.append(Precisions(group[0], rows))
    return found


def name_of(section: Section, cell: Cell) -> str:
    """The name of a cell's backend in its section."""
    keys = [(entry.backend, entry.mode) for entry in section.entries]
    return words.name(cell.backend, cell.mode, keys)


def missing_of(section: Section, sources: Sequence[Any]) -> list[str]:
    """Parts of a section that the records cannot fill."""
    there = {
        "interleaved timings": section.interleaved,
        "texts": section.texts,
        "attention maps": section.attention,
        "a reading of the curves": section.readings,
        "a comparison over seeds": section.comparisons,
        "compilations": any(entry.compilations for entry in section.entries),
        "sources of this task": sources,
    }
    return [name for name, found in there.items() if not found]
