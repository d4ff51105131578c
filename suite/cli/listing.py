"""``tetragrad list`` and ``tetragrad show``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

import backends
import tasks
from suite.cli.options import BackendOption, JsonOption
from suite.show import listing, sources as showing
from suite.show.console import output
from tasks.task import RequestError


def list_(as_json: JsonOption = False) -> None:
    """Show tasks, and backends with versions and devices, or why one is not available."""
    if as_json:
        print(json.dumps(listing.document(), indent=1))
    else:
        listing.print_listing(output())


def show(
    task: Annotated[str, typer.Argument(help="task, or a folder's path.", show_default=False)],
    backend: BackendOption = [],  # noqa: B006  (typer copies it)
) -> None:
    """Show the implementations of a task side by side: forward, loss, backward and build."""
    names = {name for name, _ in tasks.choices(task)}
    if len(names) > 1:
        raise RequestError(f"{task} is {len(names)} tasks; name one of: {', '.join(tasks.names())}")
    chosen = dict(backends.chosen(backend)) if backend else backends.names()
    showing.show(names.pop(), [*chosen], output())
