"""Finished records of a session: where they hold here and now, a check need not run their cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tasks
from suite.records import record as records
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.records.record import Record
from suite.session import resume
from suite.system import environment, variables
from tasks.task import RequestError, Task

NAMED = 3
"""How many of the facts that differ are named."""
LATEST = "latest"
"""The name by which the last session that has records is asked for."""


class Finished:
    """Those of ``records`` that stand for their cells, and why others do not."""

    def __init__(self, records: Iterable[Record] = ()):
        self._records = list(records)
        self._kept: dict[str, Record | None] = {}
        """Records that were asked for, by cell label; None where one does not hold."""
        self._tasks: dict[object, Task] = {}
        self._why: Counter[str] = Counter()

    def of(self, cell: Cell) -> Record | None:
        """The record that stands for a cell, if there is one."""
        record = next((r for r in self._records if r.cell == cell), None)
        if record and cell.label not in self._kept:
            why = differing(record) or self._another_task(record)
            self._kept[cell.label] = None if why else record
            self._why.update([why] if why else [])
        return self._kept.get(cell.label) if record else None

    def _another_task(self, record: Record) -> str | None:
        """Why its task is not what it would be here, if it is not."""
        cell = record.cell
        key = cell.shared.key
        if key not in self._tasks:
            self._tasks[key] = tasks.load(
                cell.task, cell.profile, cell.data, cell.variant, cell.options
            )
        same = resume.still_holds(record, cell, self._tasks[key])
        return None if same else "other data, constants or files of the task"

    @property
    def told(self) -> str:
        """How many records stand for their cells, and how many do not, for each reason."""
        taken = sum(record is not None for record in self._kept.values())
        others = (
            f"{count} {'does' if count == 1 else 'do'} not ({why})"
            for why, count in self._why.items()
        )
        said = (
            f"{taken} record{' stands for its cell' if taken == 1 else 's stand for their cells'}"
        )
        return "; ".join((f"{said}, not run again", *others))


def of_session(results: Path, session: str) -> Finished:
    """The records of a session, or of the ``LATEST`` one. RequestError if there are none."""
    known = list(records.sessions(results))
    name = next(iter(known), "") if session == LATEST else session
    if name not in known:
        latest = ", ".join(known[:5]) or "none: `tetragrad run` makes one"
        raise RequestError(
            f"--records {session}: there are no records of it in {results.resolve()}; the latest "
            f"sessions are: {latest}"
        )
    return Finished(records.read(path) for path in records.paths_of(results, name))


def differing(record: Record) -> str | None:
    """Why a record is not what this commit, unchanged, gives in this environment; None if it is.

    A source that was changed since its commit is known by nothing: no record of it holds.
    """
    cell = record.cell
    if record.outcome is not Outcome.OK or not record.verified:
        return "not ended well, or not verified"
    if record.git.get("dirty") is not False:
        return "a source that is no commit's, or was changed since"
    own = environment.worker_environment(cell.backend, cell.device, cell.threads)
    facts: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
        "source": (record.git, environment.git_revision()),
        "packages": (record.packages, environment.package_versions()),
        "machine": (record.machine, environment.machine()),
        "variables": (record.worker.get("environment", {}), variables.told(own)),
    }
    changed = {
        name: sorted(n for n in then.keys() | now.keys() if then.get(n) != now.get(n))
        for name, (then, now) in facts.items()
    }
    told = [f"{name} ({', '.join(other[:NAMED])})" for name, other in changed.items() if other]
    return f"other {', '.join(told)}" if told else None
