"""Verdicts, a table for every task."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.markup import escape

import backends
from suite.records.verdict import Verdict
from suite.session.locator import Search
from suite.show.console import print_fitted, table as new_table
from suite.system import devices
from tasks.task import Task

Searched = tuple[Task, backends.Choice, Search]
"""A backend's search for its first difference."""

COLUMNS = {
    "loss": ("initial loss", "loss"),
    "gradient": ("gradient", "central differences"),
    "state": ("state",),
    "outputs": ("initial prediction", "prediction"),
}
"""Columns with the quantities whose largest error they show."""


def print_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    """The largest error of every quantity, then what is not compared, then, for a failure, the
    phase and place it is in."""
    for task, grouped in groupby(verdicts, key=lambda verdict: verdict.task):
        own = list(grouped)
        _print_task(task, own, console)
        for text in left_out(own):
            console.print(escape(f"{task}: {text}"), soft_wrap=True)
    for verdict in verdicts:
        name = f"{verdict.task} in {verdict.backend_label}, {verdict.precision}"
        if not verdict.tested:
            console.print(escape(f"{name}: not tested: {verdict.reason}"), soft_wrap=True)
        elif verdict.explanation:
            text = f"{name}: {verdict.explanation}"
            console.print(escape(text), style="red", soft_wrap=True)


def left_out(verdicts: Sequence[Verdict]) -> list[str]:
    """The parameters that are not compared, with the verdicts that leave them out unless all do."""
    by_text: dict[str, list[str]] = {}
    for v in verdicts:
        if text := v.left_out:
            by_text.setdefault(text, []).append(f"{v.backend_label} {v.precision}")
    tested = sum(v.tested for v in verdicts)
    return [
        text if len(names) == tested else f"{text} (in {', '.join(names)})"
        for text, names in by_text.items()
    ]


def print_searches(searches: Sequence[Searched], console: Console) -> None:
    """The errors of every operation, forwards and backwards, a table for every backend."""
    for task, (name, mode), search in searches:
        if search.rows:
            title = f"{task.label} in {name}:{mode}: error of every operation in float64"
            table = new_table(title)
            for column in ("operation", "value", "cotangent"):
                table.add_column(column, no_wrap=True)
            for row in search.rows:
                table.add_row(row.operation, _number(row.value), _number(row.cotangent))
            print_fitted(table, console)
        console.print(escape(search.text), soft_wrap=True)


def _number(error: float | None) -> str:
    return "-" if error is None else f"{error:.1e}".replace("e-0", "e-").replace("e+0", "e+")


def _print_task(task: str, verdicts: Sequence[Verdict], console: Console) -> None:
    oracle = backends.load(verdicts[0].oracle).TITLE
    table = new_table(f"{task}: largest relative error against {oracle} in float64")
    table.add_column("backend", no_wrap=True)
    elsewhere = any(v.device != devices.CPU for v in verdicts)
    for column in (*(["device"] if elsewhere else []), "dtype", "steps", *COLUMNS, "share"):
        table.add_column(column, no_wrap=True)
    table.add_column("model", no_wrap=True)
    table.caption = f"share: the largest error by what is allowed; {oracle}: central differences"
    for v in verdicts:
        place = [v.device] if elsewhere else []
        errors = [_largest(v, quantities) for quantities in COLUMNS.values()]
        table.add_row(
            *(v.backend_label, *place, v.precision, str(v.steps), *errors, _share(v), _word(v))
        )
    print_fitted(table, console)


def _largest(verdict: Verdict, quantities: Sequence[str]) -> str:
    """The largest error of the quantities, ``1.9e-7``."""
    findings = [f for f in verdict.findings if f.quantity in quantities]
    if any(finding.error is None for finding in findings):
        return "differs"
    error = max((finding.error or 0.0 for finding in findings), default=None)
    return _number(error)


def _share(verdict: Verdict) -> str:
    """The largest error by what is allowed of it."""
    judged = [f for f in verdict.findings if f.error is not None and f.tolerance]
    shares = [(f.error or 0.0) / f.tolerance for f in judged]
    return f"{max(shares):.1g}" if shares else "-"


def _word(verdict: Verdict) -> str:
    if verdict.verified:
        return "same"
    return "FAILED" if verdict.tested else "untested"
