"""``tetragrad list`` and ``tetragrad show``."""

from __future__ import annotations

import json

import tasks
from suite.cli import options
from suite.cli.options import JsonOption
from suite.show import listing, sources as showing
from suite.show.console import output


def list_(as_json: JsonOption = False) -> None:
    """Show tasks, and backends with versions and devices, or why one is not available."""
    if as_json:
        print(json.dumps(listing.document(), indent=1))
    else:
        listing.print_listing(output())


def show(task: str) -> None:
    """Show the four implementations of a task side by side."""
    showing.show(options.chosen([task], tasks.NAMES, "task")[0], output())
