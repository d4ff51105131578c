"""Findings, a line for each."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from suite.records.findings import Finding


def print_findings(found: Sequence[Finding], console: Console) -> None:
    """A line for each, those that failed in red."""
    for finding in found:
        line = f"{finding.name}: {finding.verdict} ({finding.reason})"
        style = "red" if finding.passed is False else None
        console.print(escape(line), highlight=False, soft_wrap=True, style=style)
