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
        table.add_row(
            *(
                Syntax((root / name / f"{task}.py").read_text(), "python", word_wrap=True)
                for name in names
            )
        )
        console.print(table)
