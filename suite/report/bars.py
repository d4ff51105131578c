"""Bar charts of a report: speed, phases, memory. Text takes its colours as in ``charts``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from suite.report import exports, words
from suite.report.charts import Chart, axis, chart, named_rows, short
from suite.report.document import Section
from suite.report.looks import PHASES, Look, look
from suite.report.measures import Interval, Speed

ROW = 34
"""Height of a horizontal bar with its share of the gaps [px]."""


def _fill(looks: Sequence[Look]) -> dict[str, Any]:
    """Colour and pattern of bars."""
    return {
        "color": [seen.color for seen in looks],
        "pattern": {
            "shape": [seen.pattern for seen in looks],
            "fgcolor": "#ffffff",
            "size": 7,
            "solidity": 0.3,
        },
    }


def _bars(
    caption: str,
    bars: Sequence[tuple[str, Look, Interval, str]],
    unit: str,
    reference: float | None = None,
) -> Chart:
    """Horizontal bars (name, look, interval, label) from zero, the first on top."""
    trace = go.Bar(
        orientation="h",
        y=list(range(len(bars))),
        x=short([i.median for _, _, i, _ in bars]),
        marker=_fill([seen for _, seen, _, _ in bars]),
        error_x={
            "array": short([i.high - i.median for _, _, i, _ in bars]),
            "arrayminus": short([i.median - i.low for _, _, i, _ in bars]),
            "thickness": 1.4,
            "width": 4,
        },
        customdata=[[escape(name), escape(label)] for name, _, _, label in bars],
        hovertemplate="%{customdata[0]}: %{customdata[1]}<extra></extra>",
        width=0.58,
    )
    labels = go.Scatter(
        y=list(range(len(bars))),
        x=short([i.high for _, _, i, _ in bars]),
        text=[f"  {escape(label)}" for _, _, _, label in bars],
        mode="text",
        textposition="middle right",
        hoverinfo="skip",
        cliponaxis=False,
    )
    line = {"type": "line", "x0": reference, "x1": reference, "y0": 0, "y1": 1}
    text = "; ".join(f"{name} {label}" for name, _, _, label in bars)
    return chart(
        caption,
        f"Bar chart, {caption}: {text}.",
        [trace, labels],
        ROW * len(bars) + 46,
        xaxis=axis(unit, range=[0, 1.45 * max(i.high for _, _, i, _ in bars)], nticks=5),
        yaxis=named_rows([name for name, _, _, _ in bars]),
        shapes=[{**line, "yref": "paper", "line": {"width": 1, "dash": "dot"}}]
        if reference
        else [],
    )


def speed(section: Section) -> Iterator[Chart]:
    """Throughput and the ratio to NumPy."""
    keys = [(s.backend, s.mode) for s in section.speeds]
    shown = [
        (words.name(s.backend, s.mode, keys), look(s.backend, words.order(s.backend, s.mode)), s)
        for s in section.speeds
    ]
    if not shown:
        return
    rates = [(name, seen, s.rate, words.rate(s.rate.median)) for name, seen, s in shown]
    alone = "" if section.interleaved else exports.ALONE
    yield _bars(f"Throughput{alone}, {section.unit}", rates, section.unit)
    ratios = [(name, seen, s.ratio, _times(s)) for name, seen, s in shown if s.ratio]
    if len(ratios) > 1:
        caption = f"Speed{alone} as a multiple of NumPy's"
        yield _bars(caption, ratios, "times as fast as NumPy", 1)
    yield from _efficiency(shown)


def _times(speed: Speed) -> str:
    """A ratio's label."""
    marks = f"{' undecided' if speed.undecided else ''}{' *' if speed.differing else ''}"
    return f"{words.ratio(speed.ratio.median if speed.ratio else None)} ×{marks}"  # noqa: RUF001


def _efficiency(shown: Sequence[tuple[str, Look, Speed]]) -> Iterator[Chart]:
    """The fraction of the machine's rate of matrix products."""
    bars = [
        (name, seen, _percent(s.efficiency), words.percent(s.efficiency.median))
        for name, seen, s in shown
        if s.efficiency
    ]
    if bars:
        yield _bars("Efficiency, % of the machine's matrix-multiply rate", bars, "%")


def _percent(fraction: Interval) -> Interval:
    return Interval(100 * fraction.median, 100 * fraction.low, 100 * fraction.high)


def phases(section: Section) -> Chart | None:
    """Seconds by phase, stacked."""
    entries = [e for e in section.entries if e.phases]
    if not entries:
        return None
    traces = [
        go.Bar(
            orientation="h",
            y=list(range(len(entries))),
            x=short([e.phases[phase] for e in entries]),
            name=phase,
            marker={
                "color": color,
                "pattern": {"shape": pattern, "fgcolor": "#444444", "size": 5, "solidity": 0.25},
                "line": {"width": 0},
            },
            hovertemplate=f"{phase} %{{x:.3g}} s<extra></extra>",
            width=0.58,
        )
        for phase, (color, pattern) in PHASES.items()
    ]
    totals = (f"{e.name} {words.seconds(sum(e.phases.values()))} s" for e in entries)
    return chart(
        "Seconds by phase",
        f"Stacked bar chart of seconds by phase. In all: {', '.join(totals)}.",
        traces,
        ROW * len(entries) + 46,
        barmode="stack",
        xaxis=axis("seconds"),
        yaxis=named_rows([e.name for e in entries]),
    )


def memory(section: Section) -> Chart | None:
    """Resident memory after the import, and what came on top of it until the peak."""
    entries = [e for e in section.entries if e.memory]
    if not entries:
        return None
    after = [e.memory["after_import"] / 1e6 for e in entries]
    more = [e.memory["peak"] / 1e6 - a for e, a in zip(entries, after, strict=True)]
    looks = [look(e.backend, e.order) for e in entries]
    peaks = [words.megabytes(e.memory["peak"]) for e in entries]
    traces = [
        go.Bar(
            orientation="h",
            y=list(range(len(entries))),
            x=short(values),
            marker={**_fill(looks), "opacity": opacity},
            text=texts,
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"{what} %{{x:.0f}} MB<extra></extra>",
            width=0.58,
        )
        for values, opacity, what, texts in (
            (after, 0.4, "after the import", None),
            (more, 1, "on top of it at the peak", peaks),
        )
    ]
    text = ", ".join(f"{e.name} {peak} MB" for e, peak in zip(entries, peaks, strict=True))
    return chart(
        "Memory, MB",
        f"Stacked bar chart of memory. At the peak: {text}.",
        traces,
        ROW * len(entries) + 46,
        barmode="stack",
        xaxis=axis("MB", range=[0, 1.2 * max(e.memory["peak"] for e in entries) / 1e6]),
        yaxis=named_rows([e.name for e in entries]),
    )
