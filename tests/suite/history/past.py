"""Sessions of the past in a real MLflow store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from suite.records.record import Record
from suite.tracking import entries, tracker as tracking, writing
from suite.tracking.sender import Sender
from suite.tracking.tracker import Tracker
from suite.tracking.writing import NewRun
from tests.suite.reported import record


def session(day: int) -> str:
    return f"202603{day:02}-000000-abcd"


def past(day: int, backend: str, speed: float = 1.0, seed: int = 0, **changes: Any) -> Record:
    """A cell of the session of a day of March: at ``speed`` 1 it has 1000 samples/s."""
    began = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day - 1, seconds=seed)
    found = record(backend, seed, speed, **changes)
    return replace(
        found,
        session=session(day),
        created=began.isoformat(timespec="milliseconds"),
        git={"commit": f"{day:x}" * 40, "dirty": day == 2},
    )


def send(results: Path, found: Iterable[Record]) -> Tracker:
    """Sends what ``Tracker.log`` sends, but for curves and files, which take half a second each."""
    tracker = Tracker(tracking.default_uri(results), results)
    with tracker.connection() as client:
        sender = Sender(client, tracking.default_uri(results), results)
        for one in found:
            last = {m.key: m for m in entries.metrics_of(one)}
            start = entries.milliseconds(one)
            run = NewRun("a cell", "FINISHED", start, start, entries.tags_of(one))
            own = replace(run, params=entries.params_of(one), metrics=[*last.values()])
            writing.write(client, sender.experiment(one.cell.task), own)
    return tracker
