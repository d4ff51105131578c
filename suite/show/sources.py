"""``tetragrad show``: the implementations of a task side by side."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

import backends

WIDTH = 84
"""Columns that one implementation needs at least."""


def show(task: str, console: Console) -> None:
    """As many implementations beside each other as the terminal has room for."""
    # what is of the house has all of the house's; a folder, or a package, need not
    found = [(n, file) for n, file in backends.sources(task) if file or backends.is_house(n, task)]
    columns = max(1, min(len(found), console.width // WIDTH))
    for start in range(0, len(found), columns):
        table = Table(expand=True)
        beside = found[start : start + columns]
        for name, file in beside:
            house = backends.is_house(name, task)
            heading = f"backends/{name}/{task}.py" if house else str(file)
            table.add_column(heading, ratio=1)
        table.add_row(*(_source(name, task, file) for name, file in beside))
        console.print(table)


def _source(backend: str, task: str, file: Path | None) -> Syntax | str:
    """An implementation, or that there is none."""
    if file is None:
        return f"{task} has no {backends.load(backend).TITLE} implementation"
    return Syntax(file.read_text(encoding="utf-8"), "python", word_wrap=True)
