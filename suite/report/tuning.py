"""The page of a search: what was tried, what it came to, and the proof of the best."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from suite.records.statistics import axis_ends
from suite.report import page, proof, words
from suite.report.charts import Chart, axis, chart, short
from suite.report.looks import MODELS
from suite.session.search import Search, Trial
from suite.session.space import Range, Values
from suite.show import tuning as told
from suite.tracking.errors import TrackingError
from suite.tracking.tracker import Tracker
from tasks.paths import because
from tasks.task import RequestError

TICKS = 4
"""Values that are named at a logarithmic axis."""
BEST, OTHER = MODELS
FATES = {
    "trained to its end": ("circle", OTHER),
    "stopped early": ("circle-open", OTHER),
    "failed": ("x-thin-open", OTHER),
    "the best": ("star", BEST),
}
"""Marker and colour of a trial by how it ended."""
_SHAPES = {
    "trained to its end": f'<circle cx="8" cy="8" r="4.5" style="fill:{OTHER}"/>',
    "stopped early": f'<circle cx="8" cy="8" r="4.5" stroke="{OTHER}" stroke-width="1.6"/>',
    "failed": f'<path d="M4 4l8 8M12 4l-8 8" stroke="{OTHER}" stroke-width="1.8"/>',
    "the best": f'<path d="M8 1.5l2 4.6 5 .4-3.8 3.3 1.2 4.9L8 12.1l-4.4 2.6 1.2-4.9L1 6.5l5-.4Z" '
    f'style="fill:{BEST}"/>',
}
"""The same as SVG, for the legend."""


def write(search: Search, results: Path) -> Path:
    """Writes the page and returns its path; RequestError if it cannot."""
    path = results / "tuning" / f"{search.session}.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(search), encoding="utf-8")
    except OSError as error:
        raise RequestError(f"{path} cannot be written {because(error)} with --results") from None
    return path


def track(search: Search, path: Path, tracker: Tracker, say: Callable[[str], None]) -> None:
    """Adds the page to the session's run in MLflow, beside its trials; says why if it cannot."""
    if tracker.silent or not search.trials:
        return
    try:
        tracker.log_report([trial.record for trial in search.trials], [path])
    except TrackingError as error:
        say(f"not tracked: {error}; the page is kept")


def render(search: Search) -> str:
    """The page as text."""
    there = {fate(search, trial) for trial in search.trials}
    longest = max((trial.values for trial in search.trials), key=len, default=[])
    return (
        page.environment()
        .get_template("tuning.html.jinja")
        .render(
            search=search,
            shapes={name: Markup(s) for name, s in _SHAPES.items() if name in there},
            ranked=told.ranked(search),
            sentences=list(told.sentences(search)),
            verdict_word=proof.verdict_word,
            main=[progress(search), *([curves(search)] if len(longest) > 1 else [])],
            options=[by_option(search, name) for name in search.plan.space],
            figures=page.Figures(),
            style=page.asset("style.css"),
            script=page.asset("script.js"),
            plotly=Markup(get_plotlyjs()),
        )
    )


def fate(search: Search, trial: Trial) -> str:
    """How a trial ended: a key of ``FATES``."""
    if trial is search.best:
        return "the best"
    if trial.stopped:
        return "stopped early"
    return "failed" if trial.value is None else "trained to its end"


def progress(search: Search) -> Chart:
    """Every trial's metric in the order of the trials, and the best until then."""
    ended = [trial for trial in search.trials if trial.value is not None]
    heights = [max(t.value or 0.0 for t in ended[: n + 1]) for n in range(len(ended))]
    line = go.Scatter(
        x=[trial.number for trial in ended],
        y=short(heights),
        mode="lines",
        line={"shape": "hv", "color": BEST, "width": 2},
        hovertemplate="best until then: %{y:.4f}<extra></extra>",
    )
    best = search.best
    said = f"the best is trial {best.number}, {best.value:.4f}" if best else "none came to its end"
    return chart(
        f"{search.plan.metric} by trial, and the best until then",
        f"Dot chart of {words.count(len(search.trials), 'trial')}: {said}.",
        [line, *_marks(search, lambda trial: trial.number)],
        280,
        xaxis=axis("trial", range=[0.5, len(search.trials) + 0.5]),
        yaxis=axis(range=_ends(search)),
    )


def by_option(search: Search, name: str) -> Chart:
    """Every trial's metric against the value of one option."""
    plan, dimension = search.plan, search.plan.dimensions[name]

    def place(trial: Trial) -> Any:
        text = trial.record.cell.options[name]
        return float(text) if isinstance(dimension, Range) else text

    how: dict[str, Any] = {}
    if isinstance(dimension, Values):
        how = {"type": "category", "categoryarray": dimension.points}
    elif dimension.logarithmic:
        ticks = dimension.spread(TICKS)
        how = {"type": "log", "tickvals": [*map(float, ticks)], "ticktext": ticks}
    best = search.best
    said = f", of the best {best.record.cell.options[name]}" if best else ""
    return chart(
        f"by {name}",
        f"Dot chart of {plan.metric} against {name}{said}.",
        [*_marks(search, place)],
        250,
        xaxis=axis(name, **how),
        yaxis=axis(range=_ends(search)),
    )


def curves(search: Search) -> Chart:
    """The metric of every trial, epoch by epoch: those that were stopped are shorter."""
    traces = []
    for trial in reversed(told.ranked(search)):
        found = fate(search, trial)
        symbol, color = FATES[found]
        traces.append(
            go.Scatter(
                x=[*range(1, len(trial.values) + 1)],
                y=short(trial.values),
                mode="lines+markers",
                line={"color": color, "width": 3 if trial is search.best else 1.2},
                marker={"symbol": symbol, "size": 11 if trial is search.best else 7},
                opacity=1 if trial is search.best else 0.7,
                hovertemplate=f"{_hover(search, trial)}<extra></extra>",
            )
        )
    stopped = sum(trial.stopped for trial in search.trials)
    return chart(
        f"{search.plan.metric} by epoch",
        f"Line chart of {words.count(len(search.trials), 'trial')} by epoch; {stopped} of them "
        "were stopped early.",
        traces,
        280,
        xaxis=axis("epoch", dtick=1),
        yaxis=axis(range=axis_ends([v for trial in search.trials for v in trial.values])),
    )


def _marks(search: Search, place: Callable[[Trial], Any]) -> Iterator[Any]:
    """The trials as marks, by their fate; those that failed stand as low as the lowest."""
    low = min((trial.values[-1] for trial in search.trials if trial.values), default=0.0)
    for found, (symbol, color) in FATES.items():
        own = [trial for trial in search.trials if fate(search, trial) == found]
        size = 15 if found == "the best" else 9
        yield go.Scatter(
            x=[place(trial) for trial in own],
            y=short([low if found == "failed" else trial.values[-1] for trial in own]),
            mode="markers",
            marker={
                "symbol": symbol,
                "size": size,
                "color": color,
                "line": {"width": 1.6, "color": color},
            },
            customdata=[[_hover(search, trial)] for trial in own],
            hovertemplate="%{customdata[0]}<extra></extra>",
            cliponaxis=False,
        )


def _hover(search: Search, trial: Trial) -> str:
    options = trial.record.cell.options
    chosen = (f"{escape(name)} {escape(options[name])}" for name in search.plan.space)
    last = f" {trial.values[-1]:.4f}" if trial.values else ""
    lines = (f"trial {trial.number}: {escape(trial.fate)}{last}", *chosen)
    return "<br>".join(lines)


def _ends(search: Search) -> tuple[float, float] | None:
    values = [trial.values[-1] for trial in search.trials if trial.values]
    return axis_ends(values) if values else (0.0, 1.0)
