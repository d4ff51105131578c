"""Which records of an earlier run of a session still hold when it is resumed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import backends
import tasks
from suite.records import record as records
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.records.record import Record
from suite.records.specification import about
from suite.system import environment
from tasks.task import Task


def earlier(results: Path, session: str) -> dict[str, Record]:
    """The records that a session has, by cell label."""
    folder = results / "records" / session
    found = (records.read(path) for path in sorted(folder.glob("*.json")))
    return {record.cell.label: record for record in found}


def still_holds(record: Record, cell: Cell, task: Task) -> bool:
    """Tells if a good record is what training ``cell`` on ``task`` here and now would be."""
    wanted = json.loads(json.dumps(about(task)))
    return (
        record.outcome is Outcome.OK
        and record.verified
        and record.cell == cell
        and record.specification == wanted["specification"]
        and record.provenance == wanted["provenance"]
        and record.worker.get("task_folder", {}) == tasks.sources(cell.task)
        and record.worker.get("backend_folder", {}) == backends.package(cell.backend)
        and record.packages == dict(environment.package_versions())
        and record.git == dict(environment.git_revision())
    )


def versions() -> str:
    """A digest of the packages and the source that are in use."""
    facts = [dict(environment.package_versions()), dict(environment.git_revision())]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
