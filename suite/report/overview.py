"""Figures over all tasks at the head of a report: speed by the fastest's, performance profiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from suite.report import deciding, words
from suite.report.charts import Chart, axis, chart, named_rows, short
from suite.report.document import Entry, Report, Section
from suite.report.looks import look

LANE = 0.19
"""The distance of two backends in the row of a task, if there are four: the row's height is 1."""
ROW = 58
"""Height of a task's row [px]."""


def relative_speed(report: Report) -> Chart | None:
    """Speed of every backend in every task, as a share of the fastest's; None without any."""
    sections = [section for section in report.sections if section.speeds]
    if not sections:
        return None
    lane = min(LANE, 0.76 / len(report.columns))
    traces: list[Any] = []
    for number, key in enumerate(report.columns):
        shift = lane * (number - (len(report.columns) - 1) / 2)
        rows = [
            (row + shift, section, entry)
            for row, section in enumerate(sections)
            for entry in section.entries
            if (entry.backend, entry.mode) == key
        ]
        traces += _of_backend(words.name(*key, report.columns), rows)
    ends = [s.of_fastest.high for section in sections for s in section.speeds]
    return chart(
        "Speed as a share of the fastest's",
        f"Dot chart. {'; '.join(map(_said, sections))}.",
        traces,
        ROW * len(sections) + 46,
        xaxis=axis(range=[0, 1.04 * max(ends)], tickformat=".0%"),
        yaxis=named_rows([_wrapped(section) for section in sections]),
        shapes=[_line(1.0), *_stripes(len(sections))],
    )


def _of_backend(name: str, rows: Sequence[tuple[float, Section, Entry]]) -> list[Any]:
    """The marks of one backend: its speeds with intervals, and words where it has none."""
    timed = [(y, section, e.speed) for y, section, e in rows if e.speed]
    without = [(y, e) for y, _, e in rows if not e.speed]
    traces = []
    if timed:
        seen = look(rows[0][2].backend, rows[0][2].order)
        shares = [speed.of_fastest for _, _, speed in timed]
        traces.append(
            go.Scatter(
                x=short([share.median for share in shares]),
                y=[y for y, _, _ in timed],
                error_x={
                    "array": short([share.high - share.median for share in shares]),
                    "arrayminus": short([share.median - share.low for share in shares]),
                    "thickness": 1.4,
                    "width": 3,
                },
                mode="markers",
                marker={"symbol": seen.symbol, "size": 9, "color": seen.color}
                | {"line": {"width": 2}},
                customdata=[[escape(section.title)] for _, section, _ in timed],
                hovertemplate=f"{escape(name)} in %{{customdata[0]}}: %{{x:.0%}}<extra></extra>",
            )
        )
    marked = [
        (speed.of_fastest.high, y, " *")
        for y, section, speed in timed
        if speed.differing or not section.interleaved
    ]
    marked += [(0.0, y, f" ✗ {escape(name)}: {escape(_why(e))}") for y, e in without]
    if marked:
        x, places, said = zip(*marked, strict=True)
        traces.append(
            go.Scatter(
                x=short(x),
                y=places,
                text=said,
                mode="text",
                textposition="middle right",
                hoverinfo="skip",
                cliponaxis=False,
            )
        )
    return traces


def _why(entry: Entry) -> str:
    """The reason why an entry has no speed that is compared."""
    if entry.seeds:
        return "not timed" if entry.verified else "not verified"
    return entry.failures[0].split(" ")[0] if entry.failures else "no result"


def _said(section: Section) -> str:
    """A section's row in words."""
    told = []
    for entry in section.entries:
        share = entry.speed and entry.speed.of_fastest
        told.append(f"{entry.name} {words.percent(share.median) if share else _why(entry)}")
    return f"{section.title}{' (*)' if section.unequal else ''}: {', '.join(told)}"


def _wrapped(section: Section) -> str:
    """A task's title, narrow enough to stand at the side."""
    return section.title.replace(":", ":\n").replace(", ", ",\n")


def _line(x: float) -> dict[str, Any]:
    line = {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1}
    return {**line, "line": {"width": 1, "dash": "dot"}}


def _stripes(rows: int) -> list[dict[str, Any]]:
    """Lines between the rows of tasks."""
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "line": {"width": 0.4}}
    return [{**line, "y0": row - 0.5, "y1": row - 0.5} for row in range(1, rows)]


def profiles(report: Report) -> list[Chart]:
    """Performance profiles (Dolan & Moré, 2002) over the tasks of equal conditions, if enough."""
    groups = deciding.of_equal_conditions(report.sections)
    return [_profile(group) for group in groups if len(group) >= deciding.FEWEST]


def _profile(group: Sequence[Section]) -> Chart:
    found = deciding.within(group)
    last = 1.1 * max(2.0, *(t for times in found.values() for t in times if t < math.inf))
    traces, said = [], []
    for key, times in found.items():
        name = words.name(*key, found)
        order = words.order(*key)
        seen = look(key[0], order)
        reached = [time for time in times if time < math.inf]
        shares = [(number + 1) / len(times) for number in range(len(reached))]
        traces.append(
            go.Scatter(
                x=short([1.0, *reached, last]),
                y=short([0.0, *shares, shares[-1] if shares else 0.0]),
                name=name,
                mode="lines",
                line={"shape": "hv", "color": seen.color, "dash": seen.dash, "width": 2.5},
                hovertemplate=f"{escape(name)}: %{{y:.0%}} of tasks within %{{x:.3g}} times the "
                "fastest's time<extra></extra>",
            )
        )
        first = sum(time <= 1 for time in times) / len(times)
        said.append(f"{name} is fastest in {first:.0%} and gets to {len(reached) / len(times):.0%}")
    missing = [words.name(*key, found) for key in deciding.contestants(group) if key not in found]
    without = f", without {words.listed(missing)}: not run in all of them" if missing else ""
    places = [place for place in (1, 1.5, 2, 3, 5, 10, 20, 50, 100) if place <= last]
    return chart(
        f"Performance profile over {len(group)} tasks{without}",
        f"Step chart of the share of tasks against the factor of the fastest's time. "
        f"{'; '.join(said)}.",
        traces,
        300,
        xaxis=axis(
            "times as long as the fastest",
            type="log",
            range=[-0.005, math.log10(last)],
            tickvals=places,
            ticktext=[f"{place:g}" for place in places],
        ),
        yaxis=axis(range=[0, 1.03], tickformat=".0%"),
    )
