"""Where people read: standard output, wide enough for a table when it is not a terminal."""

from __future__ import annotations

import os
import sys
import textwrap
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from suite.show.plain import plain

WIDTH_OF_FILES = 120


class _Console(Console):
    """A console that lays out what its encoding can say: plain forms may be longer.

    ``imdb_text:bow: ...`` is no emoji.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(highlight=False, emoji=False, **how)

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(plain(text, self.encoding), **how)


def output() -> Console:
    """A console on standard output: the terminal's width, or 120 columns in a file or a log."""
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return _Console(width=None if known else WIDTH_OF_FILES)


def errors() -> Console:
    """A console on standard error."""
    return _Console(stderr=True)


def say(console: Console, text: str, style: str = "") -> None:
    """Prints a line of prose: a terminal breaks it between words alone, a file has it whole."""
    if console.is_terminal:
        text = textwrap.fill(text, console.width, break_long_words=False, break_on_hyphens=False)
    console.print(Text(plain(text, console.encoding), style), soft_wrap=True)


def yes_or_no(good: bool) -> Text:
    """A cell that says in its colour whether something is the same model."""
    return Text("yes", "green") if good else Text("NO", "red")


def table(title: str) -> Table:
    """An empty table in the house's style."""
    # the box itself sets columns one space apart: a run's table just fits 80 columns
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0)


def print_fitted(table: Table, console: Console) -> None:
    """Prints a table, whole: columns are narrow where it would be too wide, or else it is wider."""
    console.print(table, width=_fitted(table, console), crop=False)


def _fitted(table: Table, console: Console) -> int:
    """The width to print it with: the console's, or more if it does not fit with narrow columns.

    Columns become no wider than their longest word if the table is too wide for the console.
    """
    anything = console.options.update(width=1_000)
    if console.measure(table, options=anything).maximum <= console.width:
        return console.width
    for column in table.columns:
        column.header = str(column.header).replace(":", ": ")
        words = [word for cell in column.cells for word in _pieces(str(cell), column)]
        column.min_width = column.max_width = max(map(len, (*column.header.split(), *words)))
    return max(console.width, console.measure(table, options=anything).maximum)


def _pieces(cell: str, column: Column) -> list[str]:
    """The parts of a cell that stay whole: its words, or its lines where they are not wrapped."""
    return cell.splitlines() if column.no_wrap else cell.split()
