"""The page of an explanation: its waterfall and its phases, as one HTML file."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from suite.records.explanation import Explanation
from suite.report import page
from suite.report.bars import ROW
from suite.report.charts import Chart, axis, chart, named_rows, short
from suite.report.looks import PHASES
from suite.show import explanation as shown
from suite.system.environment import machine
from tasks.paths import because
from tasks.task import RequestError

SKY, GREY, ORANGE = (PHASES[name][0] for name in ("import", "train", "compile"))
TONES = {shown.TOTAL: GREY, shown.REST: ORANGE}
"""Colours of the first bar and of the last; none is a backend's colour."""
ROOM = 0.35
"""Room for the figures to the right of the bars, as a part of their width."""


def write(explanation: Explanation, path: Path) -> None:
    """Writes the page. RequestError if it cannot be written there."""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    template = page.environment().get_template("explanation.html.jinja")
    text = template.render(
        explanation=explanation,
        title=shown.title(explanation),
        steps=[(name, shown.times(i)) for name, i in shown.steps(explanation)],
        notes=shown.notes(explanation),
        times=shown.times,
        flipped=shown.flipped,
        waterfall=waterfall(explanation),
        phases=phases(explanation) if explanation.phases else None,
        made=made,
        machine=machine(),
        figures=page.Figures(),
        style=page.asset("style.css"),
        script=page.asset("script.js"),
        plotly=Markup(get_plotlyjs()),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(
            f"the explanation cannot be written to {path.resolve()} {because(error)} with --page"
        ) from None


def waterfall(explanation: Explanation) -> Chart:
    """Bars on a logarithmic scale, each from where the one above ends."""
    e = explanation
    steps = list(shown.steps(e))
    spans = shown.spans([interval[0] for _, interval in steps])
    names = [name for name, _ in steps]
    low, high = (math.log10(end(span[n] for span in spans)) for n, end in ((0, min), (1, max)))
    told = [shown.times(interval) for _, interval in steps]
    trace = go.Bar(
        orientation="h",
        y=list(range(len(steps))),
        base=short([begin for begin, _ in spans]),
        x=short([end - begin for begin, end in spans]),
        marker={"color": [TONES.get(name, SKY) for name in names]},
        text=told,
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{text}<extra></extra>",
        width=0.58,
    )
    text = "; ".join(f"{name} {factor}" for name, factor in zip(names, told, strict=True))
    return chart(
        f"What {e.a}'s speed as a multiple of {e.b}'s is made of",
        f"Waterfall of factors on a logarithmic scale: {text}.",
        [trace],
        ROW * len(steps) + 46,
        xaxis=axis(f"times as fast as {e.b}", type="log", range=[low, high + ROOM * (high - low)]),
        yaxis=named_rows(names),
    )


def phases(explanation: Explanation) -> Chart:
    """The microseconds of each phase in A and in B, stacked."""
    e = explanation
    colors = (SKY, GREY, ORANGE)
    traces = [
        go.Bar(
            orientation="h",
            y=[0, 1],
            x=short([1e6 * phase.a[0], 1e6 * phase.b[0]]),
            name=phase.name,
            marker={"color": color},
            hovertemplate=f"{phase.name} %{{x:.3g}} µs<extra></extra>",
            width=0.58,
        )
        for phase, color in zip(e.phases, colors, strict=True)
    ]
    said = (
        f"{p.name} {e.a} {1e6 * p.a[0]:.3g}, {e.b} {1e6 * p.b[0]:.3g}" for p in explanation.phases
    )
    return chart(
        "Microseconds per sample by phase",
        f"Stacked bar chart of microseconds per sample: {'; '.join(said)}.",
        traces,
        ROW * 2 + 80,
        barmode="stack",
        showlegend=True,
        legend={"orientation": "h", "y": 1.3, "traceorder": "normal"},
        xaxis=axis("microseconds per sample"),
        yaxis=named_rows([e.a, e.b]),
    )
