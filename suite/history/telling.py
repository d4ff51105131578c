"""A history in words: sentences, a table for people, a document for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from suite.history import steps
from suite.history.cells import PER_SECOND
from suite.history.series import History, PastSession, Series, Step
from suite.report import machines, words
from suite.show.console import print_fitted, table as new_table
from suite.tracking.entries import TRAINING


def figure(metric: str, value: float) -> str:
    """A value of a metric: rates as everywhere, others to four digits."""
    return words.rate(value) if metric.endswith(PER_SECOND) else f"{value:,.4g}"


def shown(history: History, series: Series, session: PastSession) -> str:
    """Text for a session in a table: the median, and the number of seeds if there are several."""
    if session.id in history.unverified.get(series.name, ()):
        return "NOT verified"
    if not (point := series.by_session.get(session.id)):
        return words.NOTHING
    seeds = f" ({point.seeds} seeds)" if point.seeds > 1 else ""
    return figure(history.metric, point.value) + seeds


def step_sentences(history: History) -> list[str]:
    """Sentences on the steps that were found, or on there being none; empty if nobody asked."""
    if not history.asked_for_steps:
        return []
    return [line for series in history.series for line in _steps_of(series, history.metric)]


def _steps_of(series: Series, metric: str) -> Iterator[str]:
    if len(series.points) < steps.FEWEST:
        have = words.count(len(series.points), "session")
        yield f"{series.name}: {have}, too few to find steps in; it takes {steps.FEWEST}"
        return
    if not series.steps:
        yield f"{series.name}: no step of {steps.SMALLEST:.0%} or more"
    for step in series.steps:
        yield f"{series.name}: {_step(step, metric)}"
    for _, together in groupby(series.steps, key=lambda step: step.factor > 1):
        run = [*together]
        if len(run) > 1:
            factor = math.prod(step.factor for step in run)
            yield (
                f"{series.name}: these {len(run)} steps from {run[0].at.created[:10]} to "
                f"{run[-1].at.created[:10]} go the same way, as a slow creep does: together by a "
                f"factor of {factor:.3g}"
            )


def _step(step: Step, metric: str) -> str:
    way = "rose" if step.factor > 1 else "fell"
    changed = f"; versions that changed: {words.listed(step.changed)}" if step.changed else ""
    return (
        f"{way} by a factor of {step.factor:.3g} at {step.at.when}, commit {step.at.revision}, "
        f"session {step.at.id}: from {figure(metric, step.before)} to "
        f"{figure(metric, step.after)}{changed}"
    )


def unit(metric: str) -> str:
    """The unit of a rate's name: ``samples/s`` of ``samples_per_second``."""
    return metric.removesuffix(PER_SECOND).removeprefix(TRAINING) + "/s"


def notices(history: History) -> Iterator[str]:
    """Sentences on everything that is not shown, and why."""
    if len(history.shown_on) > 1:
        yield (
            f"the sessions shown are of {len(history.shown_on)} machines with the same processor: "
            f"{'; '.join(history.shown_on)}"
        )
    if history.machines:
        yield from machines.warnings(history.machines)
    for name, sessions in history.unverified.items():
        yield (
            f"{name} is NOT VERIFIED in {words.count(len(sessions), 'session')} "
            f"({', '.join(sessions)}): its speed is left out there"
        )
    for other, number in history.others.items():
        same = other.profile == history.conditions.profile
        ask = "" if same else f" (--profile {other.profile})"
        yield f"not shown, other conditions: {words.count(number, 'session')} of {other}{ask}"


def print_history(history: History, console: Console) -> None:
    """The table, the steps, and what is not shown."""
    print_fitted(_table(history), console)
    if history.machines:
        headings, rows = machines.table(history.machines, unit(history.metric))
        compared = new_table("on several machines")
        for heading in headings:
            compared.add_column(
                escape(heading), justify="left" if heading == "backend" else "right"
            )
        for row in rows:
            compared.add_row(*map(escape, row))
        print_fitted(compared, console)
        said = machines.answer(history.machines, unit(history.metric))
        console.print(escape(said), highlight=False, soft_wrap=True)
    for line in step_sentences(history):
        console.print(escape(line), highlight=False, soft_wrap=True)
    for line in notices(history):
        console.print(escape(line), style="yellow", highlight=False, soft_wrap=True)


def _table(history: History) -> Table:
    table = new_table(escape(f"{history.metric} of {history.label} · {history.conditions}"))
    table.add_column("session", no_wrap=True)
    table.add_column("began, UTC", no_wrap=True)
    table.add_column("commit", no_wrap=True)
    for series in history.series:
        table.add_column(series.name, justify="right")
    for session in history.sessions:
        figures = (shown(history, series, session) for series in history.series)
        table.add_row(session.id, session.when, session.revision, *figures)
    return table


def document(history: History, page: str) -> dict[str, Any]:
    """The history as ``history --json`` prints it."""
    return {
        "task": history.label,
        "metric": history.metric,
        "conditions": history.conditions.document(),
        "sessions": [asdict(session) for session in history.sessions],
        "series": [_series_document(history, series) for series in history.series],
        "unverified": {name: list(sessions) for name, sessions in history.unverified.items()},
        "other_conditions": [
            {**other.document(), "sessions": sessions} for other, sessions in history.others.items()
        ],
        "machines": machines.document(history.machines, unit(history.metric)),
        "page": page,
    }


def _series_document(history: History, series: Series) -> dict[str, Any]:
    """``steps`` is None if nobody asked."""
    found = [
        {
            "session": step.at.id,
            "before": step.before,
            "after": step.after,
            "factor": step.factor,
            "changed": list(step.changed),
        }
        for step in series.steps
    ]
    return {
        "backend": series.backend,
        "mode": series.mode,
        "points": [{**asdict(point), "session": point.session.id} for point in series.points],
        "steps": found if history.asked_for_steps else None,
    }
