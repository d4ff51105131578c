"""Plotly figures of a report's content, each with words for those who do not see it.

Text and grid take their colours from the page's style sheet, which knows light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

from suite.records.statistics import axis_ends
from suite.report import words
from suite.report.batches import sizes
from suite.report.document import Curve, Section
from suite.report.exhibits import Map
from suite.report.looks import look

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
CURVE_HEIGHT = 250
SIGNIFICANT = 6
"""Digits of a number in a figure."""


@dataclass(frozen=True)
class Chart:
    """A figure: its caption, a text that stands for it, and Plotly's ``data`` and ``layout``."""

    caption: str
    alternative: str
    figure: dict[str, Any]


def chart(
    caption: str, alternative: str, traces: Sequence[Any], height: int, **layout: Any
) -> Chart:
    """A figure in the house's style; its text has the page's colours."""
    figure = go.Figure(
        data=traces,
        layout={
            "template": {},
            "height": height,
            "margin": {"l": 8, "r": 12, "t": 8, "b": 36, "pad": 4},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": FONT, "size": 12},
            "hoverlabel": {
                "bgcolor": "#1c2026",
                "bordercolor": "#8a929e",
                "font": {"family": FONT, "size": 12, "color": "#ffffff"},
            },
            "showlegend": False,
            "dragmode": "zoom",
            **layout,
        },
    )
    return Chart(caption, alternative, figure.to_plotly_json())


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """An axis without a line of its own."""
    return {
        "title": {"text": title, "standoff": 8},
        "automargin": True,
        "zeroline": False,
        "showline": False,
        "ticks": "",
        "nticks": 6,
        **more,
    }


def short(values: Sequence[float]) -> list[float]:
    """Numbers without digits that nobody can see."""
    return [float(f"{value:.{SIGNIFICANT}g}") for value in values]


def named_rows(names: Sequence[str]) -> dict[str, Any]:
    """An axis of rows by name, the first on top."""
    ticks = _ticks([f"{name} " for name in names])
    return axis(range=[len(names) - 0.5, -0.5], showgrid=False, **ticks)


def _ticks(names: Sequence[str], every: int = 1) -> dict[str, Any]:
    places = list(range(0, len(names), every))
    return {"tickvals": places, "ticktext": [_tick(names[place]) for place in places]}


def _tick(name: str) -> str:
    return escape(name).replace("\n", "<br>")


def curves(section: Section, metric: str) -> Iterator[Chart]:
    """A metric against epochs, and against train seconds for those whose seconds count."""
    found = [c for c in section.curves if c.metric == metric]
    yield _curves(found, metric, "epochs", [[p.epoch for p in c.points] for c in found])
    timed = [c for c in found if c.timed]
    if timed:
        times = [[p.seconds for p in c.points] for c in timed]
        yield _curves(timed, metric, "train seconds", times)


def _curves(
    found: Sequence[Curve], metric: str, against: str, places: Sequence[Sequence[float]]
) -> Chart:
    traces: list[Any] = []
    for curve, x in zip(found, places, strict=True):
        traces += _band(curve, x)
    for curve, x in zip(found, places, strict=True):
        seen = look(curve.backend, curve.order)
        traces.append(
            go.Scatter(
                x=short(x),
                y=short([p.value.median for p in curve.points]),
                name=curve.name,
                mode="lines" if len(x) > 12 else "lines+markers",
                line={"color": seen.color, "dash": seen.dash, "width": seen.size / 4},
                marker={"symbol": seen.symbol, "size": seen.size, "line": {"width": 1.6}},
                hovertemplate=f"{escape(curve.name)}<br>%{{x:.4g}} {against}<br>"
                f"{escape(metric)} %{{y:.5g}}<extra></extra>",
            )
        )
    ends = (f"{c.name} {words.figure(c.points[-1].value.median)}" for c in found)
    text = f"Line chart of {metric} against {against}. At the end: {', '.join(ends)}."
    values = [end for c in found for p in c.points for end in (p.value.low, p.value.high)]
    axes = {"xaxis": axis(against, rangemode="tozero"), "yaxis": axis(range=axis_ends(values))}
    return chart(f"{metric} against {against}", text, traces, CURVE_HEIGHT, **axes)


def _band(curve: Curve, x: Sequence[float]) -> list[Any]:
    """Lowest to highest of the seeds, where there are several."""
    if all(p.value.low == p.value.high for p in curve.points):
        return []
    color = look(curve.backend, curve.order).color
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    low, high = ([getattr(p.value, end) for p in curve.points] for end in ("low", "high"))
    return [
        go.Scatter(
            x=short([*x, *reversed(x)]),
            y=short([*high, *reversed(low)]),
            fill="toself",
            fillcolor=f"rgba({red},{green},{blue},0.16)",
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
        )
    ]


def by_batch(section: Section) -> Chart:
    """Throughput against the size of batches, both on logarithmic scales."""
    keys = [(line.backend, line.mode) for line in section.batches]
    traces, said = [], []
    for line in section.batches:
        name = words.name(line.backend, line.mode, keys)
        seen = look(line.backend, words.order(line.backend, line.mode))
        own = [point.rate for point in line.points]
        traces.append(
            go.Scatter(
                x=[point.batch for point in line.points],
                y=short([rate.median for rate in own]),
                error_y={
                    "array": short([rate.high - rate.median for rate in own]),
                    "arrayminus": short([rate.median - rate.low for rate in own]),
                    "thickness": 1.4,
                    "width": 4,
                },
                mode="lines+markers",
                line={"color": seen.color, "dash": seen.dash, "width": seen.size / 4},
                marker={"symbol": seen.symbol, "size": seen.size, "line": {"width": 1.6}},
                hovertemplate=f"{escape(name)}, batches of %{{x}}<br>%{{y:.4g}} "
                f"{escape(section.unit)}<extra></extra>",
            )
        )
        told = (f"{words.rate(p.rate.median)} at {p.batch}" for p in line.points)
        said.append(f"{name} {', '.join(told)}")
    places = sizes(section.batches)
    rates = [point.rate for line in section.batches for point in line.points]
    ends = axis_ends([end for rate in rates for end in (rate.low, rate.high)])
    return chart(
        f"Throughput, {section.unit}",
        f"Line chart of {section.unit} against the size of batches, both on logarithmic scales. "
        f"{'; '.join(said)}.",
        traces,
        320,
        xaxis=axis(
            "batch size",
            type="log",
            tickvals=places,
            ticktext=[f"{place:,}" for place in places],
        ),
        yaxis=axis(type="log", tickformat="~s", range=ends and [math.log10(e) for e in ends]),
    )


def errors(section: Section) -> Chart | None:
    """Every quantity's largest error in every backend, and what was allowed, on a log scale."""
    quantities = list(dict.fromkeys(f.quantity for e in section.entries for f in e.findings))
    known = [f for e in section.entries for f in e.findings if f.error]
    if not known:
        return None
    traces: list[Any] = []
    for entry in section.entries:
        seen = look(entry.backend, entry.order)
        found = [f for f in entry.findings if f.error]
        shift = 0.13 * (section.entries.index(entry) - (len(section.entries) - 1) / 2)
        traces.append(
            go.Scatter(
                x=short([f.error or 0 for f in found]),
                y=[quantities.index(f.quantity) + shift for f in found],
                mode="markers",
                marker={
                    "symbol": seen.symbol.removesuffix("-open"),
                    "size": 9,
                    "color": seen.color,
                },
                customdata=[[escape(f.where)] for f in found],
                hovertemplate=f"{escape(entry.name)}: %{{x:.1e}}, %{{customdata[0]}}"
                "<extra></extra>",
            )
        )
    allowed = {f.quantity: f.tolerance for e in section.entries for f in e.findings}
    traces.append(
        go.Scatter(
            x=list(allowed.values()),
            y=[quantities.index(q) for q in allowed],
            mode="markers",
            marker={"symbol": "line-ns-open", "size": 26, "color": "#808080", "line": {"width": 2}},
            hovertemplate="allowed: %{x:.0e}<extra></extra>",
        )
    )
    ends = [f.error for f in known if f.error] + list(allowed.values())
    decades = math.log10(max(ends) / min(ends))
    text = "; ".join(
        f"{q}: at most {words.error(max(f.error or 0 for f in known if f.quantity == q))}, "
        f"allowed {allowed[q]:.0e}"
        for q in dict.fromkeys(f.quantity for f in known)
    )
    return chart(
        "Largest relative error against NumPy in float64",
        f"Dot chart on a logarithmic scale. {text}.",
        [t for t in traces if t.x],
        46 * len(quantities) + 46,
        xaxis=axis(
            "relative error",
            type="log",
            dtick=max(1, math.ceil(decades / 5)),
            tickangle=0,
            exponentformat="power",
        ),
        yaxis=named_rows(quantities),
    )


def attention(drawn: Map) -> Chart:
    """One map; its words stand at its sides."""
    rows, columns = range(len(drawn.rows)), range(len(drawn.columns))
    size = 11 if max(len(rows), len(columns)) <= 16 else 8
    side: dict[str, Any] = {"tickfont": {"size": size}, "showgrid": False}
    trace = go.Heatmap(
        x=list(columns),
        y=list(rows),
        z=drawn.values,
        zmin=drawn.low,
        zmax=drawn.high,
        colorscale="Blues",
        showscale=False,
        xgap=1,
        ygap=1,
        text=[
            [f"{escape(row)} → {escape(column)}" for column in drawn.columns] for row in drawn.rows
        ],
        hovertemplate="%{text}: %{z:.2f}<extra></extra>",
    )

    most = max(range(len(drawn.rows)), key=lambda i: max(drawn.values[i]))
    at = max(columns, key=lambda j: drawn.values[most][j])
    return chart(
        drawn.name,
        f"Heat map, {drawn.name}: {len(rows)} rows by {len(columns)} columns; the largest value, "
        f"{drawn.values[most][at]:.2f}, is of {drawn.rows[most]} on {drawn.columns[at]}.",
        [trace],
        290,
        xaxis=axis(**_ticks(drawn.columns, every=len(columns) // 50 + 1), **side, tickangle=-60),
        yaxis=axis(**_ticks(drawn.rows), **side, autorange="reversed"),
        margin={"l": 4, "r": 4, "t": 4, "b": 4, "pad": 2},
    )
