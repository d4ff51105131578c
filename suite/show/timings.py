"""Timings of ``tetragrad time``, as tables for people and a document for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.table import Table

from suite.records import differences
from suite.records.cell import computed
from suite.records.events import Outcome
from suite.records.timing import Timing
from suite.session.stopwatch import Stopwatch, title_of
from suite.show import speeds
from suite.show.console import print_fitted, say


def document(watch: Stopwatch) -> dict[str, Any]:
    """The document that ``time --json`` prints."""
    return {
        "session": watch.session,
        "timings": {
            title: speeds.document(timing, watch.of(title))
            for title, timing in watch.timings.items()
        },
        "failures": [
            {"task": title_of(r), "backend": r.cell.backend, "mode": r.cell.mode}
            | {"outcome": r.outcome, "reason": r.reason}
            for r in watch.records
            if r.outcome is not Outcome.OK
        ],
    }


def print_timings(watch: Stopwatch, console: Console) -> None:
    """A table for every task, fastest first, and what to bear in mind."""
    for title, timing in watch.timings.items():
        differing = differences.differences(watch.of(title))
        print_fitted(_table(timing, differing), console)
        notes = speeds.notes(timing, differing)
        if timing.stopped == "limit":
            notes.append("the time was over before every ratio was known to 2%: see --limit")
        for note in notes:
            say(console, note, "yellow")
    for record in watch.records:
        if record.outcome is not Outcome.OK:
            cell = record.cell
            text = f"{title_of(record)} in {cell.backend_label} {record.outcome}: {record.reason}"
            say(console, text, "yellow")


def _table(timing: Timing, differing: Sequence[differences.Difference]) -> Table:
    conditions = timing.conditions
    data = "real data" if conditions.data == "real" else "GENERATED DATA, not the real data set"
    threads = "1 thread" if conditions.threads == 1 else f"{conditions.threads} threads"
    scale = conditions.batch_scale
    scaled = f" · batch x {scale}, throughput alone" if scale > 1 else ""
    device = computed(conditions.device, conditions.precision)
    title = f"{timing.label} · {conditions.profile} · {device} · {threads} · {data}{scaled}"
    fastest_first = sorted(timing.contestants, key=lambda c: -timing.throughput(c.name)[0])
    ordered = replace(timing, contestants=tuple(fastest_first), wanted_base=timing.base)
    return speeds.table(title, ordered, differing)
