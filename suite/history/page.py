"""A history as a page: one HTML file that needs nothing but itself, in the report's style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from suite.history import telling
from suite.history.series import History, Series
from suite.records.statistics import axis_ends
from suite.report import machines, page, words
from suite.report.charts import Chart, axis, chart, short
from suite.report.looks import look
from tasks.paths import because
from tasks.task import RequestError

TICKS = 4
"""Sessions that are named at an axis, at most or one more: a phone has room for no more."""
FAR = 3.0
"""Values further apart than this factor are drawn on a logarithmic scale."""


def write(history: History, results: Path, output: Path | None) -> Path:
    """Writes the page and returns its path; RequestError if it cannot."""
    folder = output or results / "history"
    name = f"{history.label}-{history.metric}".replace(":", "-").replace("/", "-")
    path = folder / f"{name}.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(render(history), encoding="utf-8")
    except OSError as error:
        raise RequestError(
            f"the history cannot be written to {folder.resolve()} {because(error)} with --output"
        ) from None
    return path


def render(history: History) -> str:
    """The page as text."""
    drawn = [series for series in history.series if series.points]
    return (
        page.environment()
        .get_template("history.html.jinja")
        .render(
            history=history,
            order=words.order,
            shown=telling.shown,
            steps=telling.step_sentences(history),
            notices=list(telling.notices(history)),
            machines=machines,
            unit=telling.unit(history.metric),
            together=_chart(history, drawn) if len(drawn) > 1 else None,
            alone=[_chart(history, [series]) for series in drawn],
            look=look,
            figures=page.Figures(),
            style=page.asset("style.css"),
            script=page.asset("script.js"),
            plotly=Markup(get_plotlyjs()),
        )
    )


def _chart(history: History, drawn: Sequence[Series]) -> Chart:
    """The series against the sessions; one alone has its levels too, if they were looked for."""
    places = {session.id: place for place, session in enumerate(history.sessions)}
    traces: list[Any] = []
    for series in drawn:
        x = [places[point.session.id] for point in series.points]
        traces += [_line(history, series, x), *(_levels(series, x) if len(drawn) == 1 else ())]
    values = [point.value for series in drawn for point in series.points]
    far = min(values) > 0 and max(values) / min(values) > FAR
    ends = (
        f"{s.name} from {telling.figure(history.metric, s.points[0].value)} to "
        f"{telling.figure(history.metric, s.points[-1].value)}"
        for s in drawn
    )
    all_ = [end for s in drawn for point in s.points for end in (point.low, point.high)]
    scale = "logarithmic" if far else "linear"
    name = "all" if len(drawn) > 1 else drawn[0].name
    return chart(
        f"{history.metric} over sessions, {name}",
        f"Line chart of {history.metric} on a {scale} scale over "
        f"{words.count(len(history.sessions), 'session')}. First to last: {', '.join(ends)}.",
        traces,
        320 if len(drawn) > 1 else 250,
        xaxis=axis("session", range=[-0.5, len(history.sessions) - 0.5], **_ticks(history)),
        yaxis=axis(
            type="log" if far else "linear",
            tickformat="~s" if min(values) >= 1 else None,
            range=axis_ends([*values, *all_]),
        ),
    )


def _line(history: History, series: Series, x: Sequence[int]) -> Any:
    seen = look(series.backend, words.order(series.backend, series.mode))
    above = short([p.high - p.value for p in series.points])
    below = short([p.value - p.low for p in series.points])
    return go.Scatter(
        x=[*x],
        y=short([point.value for point in series.points]),
        error_y={"array": above, "arrayminus": below, "visible": any(above + below)},
        name=series.name,
        mode="lines+markers",
        line={"color": seen.color, "dash": seen.dash, "width": seen.size / 4},
        marker={"symbol": seen.symbol, "size": seen.size, "line": {"width": 1.6}},
        customdata=[
            [escape(f"{p.session.when}, {p.session.revision}, {words.count(p.seeds, 'seed')}")]
            for p in series.points
        ],
        hovertemplate=f"{escape(series.name)}<br>%{{customdata[0]}}<br>"
        f"{escape(history.metric)} %{{y:.5g}}<extra></extra>",
    )


def _levels(series: Series, x: Sequence[int]) -> list[Any]:
    """A line at every level, as long as it lasts."""
    return [
        go.Scatter(
            x=[x[level.start], x[level.end - 1]],
            y=short([level.value, level.value]),
            mode="lines",
            line={"color": "#808080", "width": 5},
            opacity=0.5,
            hovertemplate=f"level {level.value:.5g}<extra></extra>",
        )
        for level in series.levels
    ]


def _ticks(history: History) -> dict[str, Any]:
    """Dates and commits of some of the sessions."""
    every = math.ceil(len(history.sessions) / TICKS)
    named = [*enumerate(history.sessions)][::every]
    return {
        "tickvals": [place for place, _ in named],
        "ticktext": [f"{s.created[:10]}<br>{escape(s.revision)}" for _, s in named],
        "tickangle": 0,
    }
