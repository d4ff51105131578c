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
    root = Path(backends.__file__).parent
    columns = max(1, min(len(backends.NAMES), console.width // WIDTH))
    for start in range(0, len(backends.NAMES), columns):
        table = Table(expand=True)
        names = backends.NAMES[start : start + columns]
        for name in names:
            table.add_column(f"backends/{name}/{task}.py", ratio=1)
        table.add_row(*(_source(root, name, task) for name in names))
        console.print(table)


def _source(root: Path, backend: str, task: str) -> Syntax | str:
    """An implementation, or that there is none."""
    file = root / backend / f"{task}.py"
    if not file.is_file():
        return f"{task} has no {backends.load(backend).TITLE} implementation"
    return Syntax(file.read_text(encoding="utf-8"), "python", word_wrap=True)
