"""``tetragrad show``: the implementations of a task side by side, block by block."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

import backends
from suite.show.blocks import BACKWARD, BLOCKS, blocks
from tasks.task import RequestError

WIDTH = 84
"""Columns that one implementation needs at least."""


def show(task: str, wanted: Sequence[str], console: Console) -> None:
    """The blocks of the ``wanted`` backends, of each as many side by side as there is room for.

    RequestError if none of them has the task.
    """
    every = [(name, file) for name, file in backends.sources(task) if name in wanted]
    # what is of the house has all of the house's; a folder, or a package, need not
    found = [(name, file) for name, file in every if file or backends.is_house(name, task)]
    if not found:
        raise RequestError(f"{task} has no file for {', '.join(wanted)}; write it there")
    parts = {name: blocks(file.read_text(encoding="utf-8")) for name, file in found if file}
    columns = max(1, min(len(found), console.width // WIDTH))
    for block in BLOCKS:
        if not any(block in own for own in parts.values()):
            continue
        for start in range(0, len(found), columns):
            table = Table(expand=True, title=block, title_justify="left")
            beside = found[start : start + columns]
            for name, file in beside:
                house = backends.is_house(name, task)
                heading = f"backends/{name}/{task}.py" if house else str(file)
                table.add_column(heading, ratio=1)
            table.add_row(*(_shown(block, name, task, parts.get(name)) for name, _ in beside))
            console.print(table)


def _shown(block: str, backend: str, task: str, own: dict[str, str] | None) -> Syntax | str:
    """A block of an implementation, or why there is none."""
    title = backends.load(backend).TITLE
    if own is None:
        return f"{task} has no {title} implementation"
    if block not in own:
        return f"{title} derives it" if block == BACKWARD else "-"
    return Syntax(own[block], "python", word_wrap=True)
