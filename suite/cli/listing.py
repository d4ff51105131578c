"""``tetragrad list`` and ``tetragrad show``."""

from __future__ import annotations

from typing import Annotated

import typer

import tasks
from suite.show import listing, sources as showing
from suite.show.console import output
from tasks.task import RequestError


def list_() -> None:
    """Show tasks, and backends with versions and devices, or why one is not available."""
    listing.print_listing(output())


def show(
    task: Annotated[str, typer.Argument(help="task, or a folder's path.", show_default=False)],
) -> None:
    """Show the implementations of a task side by side."""
    names = {name for name, _ in tasks.choices(task)}
    if len(names) > 1:
        raise RequestError(f"{task} is {len(names)} tasks; name one of: {', '.join(tasks.names())}")
    showing.show(names.pop(), output())
