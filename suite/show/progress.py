"""Live progress on standard error: bars and the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

import tasks
from suite.records.cell import Cell
from suite.records.events import ChunkTimed, ChunkTrained, EpochEnded, Event, Resumed
from suite.records.record import Record
from suite.show.console import errors
from tasks.scaling import chunks_of_epoch

NODES = 8
"""So many nodes of a fleet are shown, at most."""


class Terminal:
    """Shows what goes on while a session runs: a ``Reporter``."""

    def __init__(self, timing_limit: float | None = None) -> None:
        """Rounds that time alone end after ``timing_limit`` [s], as far as anyone knows."""
        self.console = errors()
        self._live = self.console.is_terminal
        self.bar = Progress(
            TextColumn("{task.description}", table_column=Column()),  # a long one is wrapped
            BarColumn(bar_width=10),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=self.console,
            transient=True,
            refresh_per_second=4,  # it shares the machine with what is being timed
            disable=not self._live,
        )
        self._limit = timing_limit
        self._at_work: Mapping[str, str] = {}
        """The work of each node, as it was said last."""
        self._current = self.bar.add_task("", total=None, note="")
        self._begin()

    def _begin(self) -> None:
        self._turns: dict[str, int] = {}
        """Chunks that were trained of each cell of the work that goes on."""
        self._timed_since: float | None = None

    def __enter__(self) -> Terminal:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Hides the bars as long as the block prints to standard output."""
        self.bar.stop()
        try:
            yield
        finally:
            self.bar.start()

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(escape(text), highlight=False, soft_wrap=True)

    def busy(self, text: str) -> None:
        """Shows what is being done now."""
        self._begin()
        if self._live:
            self.bar.reset(self._current, total=None, description=escape(text), note="")
        else:
            self.say(f"{text} ...")

    def fleet(self, done: int, total: int, at_work: Mapping[str, str]) -> None:
        """So many comparisons of all are done; what every node is doing."""
        if self._live:
            shown = [f"{node}: {what}" for node, what in [*at_work.items()][:NODES]]
            if more := len(at_work) - len(shown):
                shown.append(f"and {more} more nodes at work")
            text = escape("\n".join((f"{done} of {total} comparisons", *shown)))
            self.bar.update(self._current, completed=done, total=total, description=text)
            return
        for node, what in at_work.items():
            if self._at_work.get(node) != what:
                self.say(f"[{done}/{total}] {node}: {what} ...")
        self._at_work = dict(at_work)

    def cell_event(self, cell: Cell, event: Event, epochs: int) -> None:
        """An event of the worker that trains ``cell``."""
        if isinstance(event, ChunkTrained):
            self._trained(cell, event, epochs)
        elif isinstance(event, ChunkTimed):
            self._timed()
        elif isinstance(event, EpochEnded):
            numbers = "  ".join(f"{k} {v:.4f}" for k, v in event.metrics.items())
            if not self._live:
                self.say(f"  {cell.backend_label:16}  epoch {event.epoch}/{epochs}  {numbers}")
        elif isinstance(event, Resumed):
            self._turns[cell.label] = len(event.chunks)
            self.say(f"  {cell.backend_label:16}  goes on after step {event.step}")

    def _trained(self, cell: Cell, event: ChunkTrained, epochs: int) -> None:
        """Moves the bar: cells train in turns, so all of them are as far as this one."""
        self._turns[cell.label] = self._turns.get(cell.label, 0) + 1
        if not self._live:
            return
        config = tasks.config(cell.task, cell.profile, cell.variant, cell.options)
        chunks = chunks_of_epoch(config)
        self.bar.update(
            self._current,
            total=epochs * chunks * len(self._turns) if chunks else None,
            completed=sum(self._turns.values()),
            note=f"epoch {event.epoch}/{epochs}, loss {event.losses[-1]:.4f}",
        )

    def _timed(self) -> None:
        """Moves the bar of the rounds that only time, which end at the limit or before."""
        if self._timed_since is None:
            self._timed_since = time.monotonic()
            self.bar.reset(self._current, total=self._limit, note="timing in turns")
        self.bar.update(self._current, completed=time.monotonic() - self._timed_since)

    def cell_finished(self, record: Record) -> None:
        text = f"{record.cell.label}: {record.outcome}"
        if record.reason:
            text += f" ({record.reason})"
        self.say(text)

    def cell_timed(self, record: Record) -> None:
        speed = record.throughput
        verified = "" if record.verified else " (NOT VERIFIED)"
        self.say(f"{record.cell.label}: {speed['median']:,.0f} {speed['unit']}{verified}")
