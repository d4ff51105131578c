"""The builder of records: from the beginning of a cell, by its events, to its end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_never

from suite.records.cell import Cell
from suite.records.events import (
    ChunkTimed,
    ChunkTrained,
    Described,
    Ended,
    EpochEnded,
    Event,
    Finished,
    Measured,
    Outcome,
    Resumed,
    Shown,
    Started,
    Stopped,
    Waiting,
)
from suite.records.record import Record
from suite.system import environment


def now() -> str:
    """The time, UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def begin(session: str, cell: Cell) -> Record:
    """The record of a cell that has not begun yet, with what is installed here."""
    return Record(
        session=session,
        cell=cell,
        created=now(),
        outcome=Outcome.NOT_BEGUN,
        packages=dict(environment.package_versions()),
        git=dict(environment.git_revision()),
        machine=dict(environment.machine()),
    )


def hear(record: Record, event: Event) -> None:
    """Takes over what a worker says, as it comes: a worker that dies leaves what it had done."""
    match event:
        case Started():
            record.specification, record.provenance = event.specification, event.provenance
            record.unit, record.targets = event.unit, event.targets
            record.margin, record.validation = event.margin, event.validation
            record.lecture = event.lecture
            record.worker = event.worker
        case Resumed():
            record.resumed, record.chunks, record.epochs = event.step, event.chunks, event.epochs
        case ChunkTrained():
            record.chunks.append(vars(event).copy())
        case EpochEnded():
            record.epochs.append(vars(event).copy())
        case Stopped():
            record.stopped = event.stopped
        case Shown():
            record.texts, record.heatmaps = event.texts, event.heatmaps
        case Finished():
            record.worker, record.compilations = event.worker, event.compilations
            record.phases, record.memory = event.phases, event.memory
        case Waiting() | Described() | Measured() | ChunkTimed() | Ended():
            pass  # of turns and of other jobs: nothing of it is kept in a record
        case _:
            assert_never(event)


def end(record: Record, outcome: Outcome, reason: str | None, stderr: str = "") -> None:
    """Says how a cell ended; the end of what its worker printed is kept unless it went well."""
    record.outcome, record.reason, record.ended = outcome, reason, now()
    if outcome is not Outcome.OK:
        record.stderr = stderr
