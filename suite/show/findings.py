"""Findings: a line for each, and tables of all that was checked."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from suite.records.findings import Finding
from suite.show.console import print_fitted, table as new_table

STYLES = {True: "", False: "red", None: "yellow"}


def print_findings(found: Sequence[Finding], console: Console) -> None:
    """A line for each, those that failed in red."""
    for finding in found:
        line = f"{finding.name}: {finding.verdict} ({finding.reason})"
        style = "red" if finding.passed is False else None
        console.print(escape(line), highlight=False, soft_wrap=True, style=style)


def print_checked(found: Sequence[Finding], console: Console) -> None:
    """A table for every task: what was checked, and the verdict in each backend."""
    tasks: dict[str, dict[str, dict[str, Finding]]] = {}
    for finding in found:
        task, _, backend = finding.place.partition(" ")
        tasks.setdefault(task, {}).setdefault(finding.what, {})[backend] = finding
    for task, rows in tasks.items():
        backends = list(dict.fromkeys(name for row in rows.values() for name in row))
        table = new_table(task)
        for column in ("what was checked", *backends):
            table.add_column(column)
        for what, row in rows.items():
            table.add_row(what, *(_verdict(row.get(name)) for name in backends))
        print_fitted(table, console)


def _verdict(finding: Finding | None) -> Text:
    """A verdict in its colour; nothing where a backend was not looked at for this."""
    return Text(finding.verdict, STYLES[finding.passed]) if finding else Text("-")
