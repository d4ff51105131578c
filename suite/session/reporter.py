"""The side of a session that tells people what goes on, whoever shows it."""

from __future__ import annotations

from typing import Protocol

from suite.records.cell import Cell
from suite.records.events import Event
from suite.records.record import Record


class Reporter(Protocol):
    """Hears what a session does. ``suite.progress`` shows it on a terminal."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def busy(self, text: str) -> None:
        """The work that begins now."""

    def cell_event(self, cell: Cell, event: Event, epochs: int) -> None:
        """An event of the worker that trains ``cell``, for so many ``epochs``."""

    def cell_finished(self, record: Record) -> None:
        """A cell has come to its end."""

    def cell_timed(self, record: Record) -> None:
        """A cell's speed is known: that of the rounds in which backends took turns."""
