"""Live progress on standard error: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from suite.records.cell import Cell
from suite.records.events import ChunkTrained, EpochEnded, Event, Resumed
from suite.records.record import Record
from suite.show.console import errors


class Terminal:
    """Shows what goes on while a session runs: a ``Reporter``."""

    def __init__(self) -> None:
        self.console = errors()
        self._live = self.console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            refresh_per_second=4,  # it shares the machine with what is being timed
            disable=not self._live,
        )
        self._current = self._bar.add_task("", total=None, note="")

    def __enter__(self) -> Terminal:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(escape(text), highlight=False, soft_wrap=True)

    def busy(self, text: str) -> None:
        """Shows what is being done now."""
        if self._live:
            self._bar.reset(self._current, total=None, description=escape(text), note="")
        else:
            self.say(f"{text} ...")

    def cell_event(self, cell: Cell, event: Event, epochs: int) -> None:
        """An event of the worker that trains ``cell``."""
        if isinstance(event, ChunkTrained):
            note = f"epoch {event.epoch}/{epochs}  loss {event.losses[-1]:.4f}"
            self._bar.update(self._current, note=note)
        elif isinstance(event, EpochEnded):
            numbers = "  ".join(f"{k} {v:.4f}" for k, v in event.metrics.items())
            self._bar.update(self._current, total=epochs, completed=event.epoch)
            if not self._live:
                self.say(f"  {cell.backend_label:16}  epoch {event.epoch}/{epochs}  {numbers}")

        elif isinstance(event, Resumed):
            self.say(f"  {cell.backend_label:16}  goes on after step {event.step}")

    def cell_finished(self, record: Record) -> None:
        text = f"{record.cell.label}: {record.outcome}"
        if record.reason:
            text += f" ({record.reason})"
        self.say(text)

    def cell_timed(self, record: Record) -> None:
        speed = record.throughput
        verified = "" if record.verified else " (NOT VERIFIED)"
        self.say(f"{record.cell.label}: {speed['median']:,.0f} {speed['unit']}{verified}")
