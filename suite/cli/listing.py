"""``tetragrad list`` and ``tetragrad show``."""

from __future__ import annotations

import tasks
from suite.show import listing, sources as showing
from suite.show.console import output


def list_() -> None:
    """Show tasks, and backends with versions and devices, or why one is not available."""
    listing.print_listing(output())


def show(task: str) -> None:
    """Show the implementations of a task, or of a folder's, side by side."""
    showing.show(tasks.choices(task)[0][0], output())
