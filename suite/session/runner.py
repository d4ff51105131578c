"""The runner: verifies, trains and records the cells of a session, backends in turns."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tasks
from suite.records import builder, checkpoints, record as records, timing as timings
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.records.record import Record
from suite.records.timing import Timing
from suite.session import resume
from suite.session.plan import Plan, cells
from suite.session.preparation import Preparation
from suite.session.race import Race
from suite.session.reporter import Reporter
from suite.system.interrupts import Interrupts
from suite.tracking.tracker import Tracker


@dataclass
class Session:
    """Results of a run: every cell's record, in order, with its file and MLflow run."""

    id: str
    results: Path
    records: list[Record]
    mlflow_runs: dict[str, str]
    """By cell label; a cell that is not there was not tracked."""
    timings: dict[str, Timing] = field(default_factory=dict)
    """By task: how fast those that trained in turns were."""
    interrupted: bool = False
    not_written: bool = False
    """True if it ended because its results could not be written."""


def new_session_id() -> str:
    """Sorts by time; unique even between sessions that begin in the same second."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)


class Runner:
    """Runs a plan into ``results`` and MLflow.

    With the id of a session, only what that one has no good record of, training from checkpoints.
    """

    def __init__(
        self,
        plan: Plan,
        results: Path,
        tracker: Tracker,
        reporter: Reporter,
        resumed: str | None = None,
    ):
        self._plan, self._results = plan, results
        self._tracker, self._reporter = tracker, reporter
        self.session = Session(resumed or new_session_id(), results, [], {})
        self._preparation = Preparation(plan, results, reporter)
        self._earlier = resume.earlier(results, resumed) if resumed else {}

    def run(self) -> Session:
        """Every cell gets a record, whatever happens to it; Ctrl-C interrupts the rest.

        A second Ctrl-C is a KeyboardInterrupt here and now.

        When results cannot be written any more, it says so and ends.
        """
        sources = {name: self._preparation.source(name) for name, _ in self._plan.choices}
        groups = [
            list(cells(self._plan, choice, seed, sources[choice[0]]))
            for choice in self._plan.choices
            for seed in self._plan.seeds
        ]
        with Interrupts(self._reporter.say) as interrupts:
            try:
                for number, group in enumerate(groups, 1):
                    self._run_group(group, f"[{number}/{len(groups)}]", interrupts)
            except records.NotWritten as error:
                self.session.not_written = True
                self._reporter.say(
                    f"{error}: it cannot be written, and the session ends; make room and "
                    f"`tetragrad run --resume {self.session.id}`"
                )
            self.session.interrupted = interrupts.seen
        return self.session

    def _run_group(self, group: Sequence[Cell], place: str, interrupts: Interrupts) -> None:
        """The cells of one task and seed, verified, then trained in turns."""
        kept = [record for cell in group if (record := self._good_record(cell))]
        there = {record.cell.label: record for record in kept}
        found = [there.get(cell.label) or builder.begin(self.session.id, cell) for cell in group]
        self.session.records += found  # in the order asked for, whichever is kept first
        self._take_over(kept)

        def keep(record: Record) -> None:
            with interrupts.postponed():
                self._keep(record)
                kept.append(record)

        try:
            with interrupts.raised():
                self._train([record for record in found if record not in kept], keep, place)
        except KeyboardInterrupt:
            if interrupts.again:
                raise
        for record in found:
            before = self._earlier.get(record.cell.label)
            if before and record.outcome is Outcome.NOT_BEGUN:
                self.session.records[self.session.records.index(record)] = before
            elif record not in kept:
                if record.outcome is Outcome.NOT_BEGUN:
                    record.reason = "the session ended before"
                self._keep(record)

    def _train(self, rest: Sequence[Record], keep: Callable[[Record], None], place: str) -> None:
        """Verifies and trains those of one task and seed, in turns."""
        todo = self._preparation.ready(rest)
        if not todo:
            return
        self._reporter.busy(f"{place} {todo[0].cell.task_label}, seed {todo[0].cell.seed}")
        epochs = self._epochs(todo[0].cell)
        race = Race(
            todo,
            self._plan.timeout,
            self._plan.timing_limit,
            lambda record, event: self._reporter.cell_event(record.cell, event, epochs),
            self._job,
            self._preparation.judge,
            self._plan.base,
        )
        race.run(keep)
        self._keep_timing(race.timing)

    def _good_record(self, cell: Cell) -> Record | None:
        """The resumed session's record of a cell, if it still holds."""
        record = self._earlier.get(cell.label)
        if record is None:
            return None
        task = tasks.load(cell.task, cell.profile, cell.data, cell.variant, cell.options)
        return record if resume.still_holds(record, cell, task) else None

    def _take_over(self, good: Sequence[Record]) -> None:
        """Good records of the resumed session, and how fast their cells were."""
        for record in good:
            self._reporter.say(f"{record.cell.label}: kept from before")
            self._track(record, records.path_of(self._results, record))
            checkpoints.discard(self._checkpoint(record))
            label = record.cell.task_label
            if label not in self.session.timings:
                there = timings.of_session(self._results, self.session.id)
                self.session.timings |= {label: there[label]} if label in there else {}

    def _job(self, record: Record) -> dict[str, Any]:
        """The parts of a worker's job besides its cell."""
        every = self._plan.checkpoint_every
        checkpoint = {
            "path": str(self._checkpoint(record).resolve()),
            "every": every,
            "versions": resume.versions(),
        }
        return {
            "memory_limit": self._plan.memory_limit,
            **({"checkpoint": checkpoint} if every else {}),
        }

    def _checkpoint(self, record: Record) -> Path:
        return checkpoints.path_of(self._results, record.session, record.cell.label)

    def _epochs(self, cell: Cell) -> int:
        epochs: int = tasks.config(cell.task, cell.profile, cell.variant).epochs
        return epochs

    def _keep(self, record: Record) -> None:
        """To disk first; then to MLflow, whose failure costs nothing that cannot be sent later."""
        path = records.write(self._results, record)
        if record.outcome in (Outcome.OK, Outcome.DIVERGED):  # any other may go on from there
            checkpoints.discard(self._checkpoint(record))
        self._reporter.cell_finished(record)
        self._track(record, path)

    def _track(self, record: Record, path: Path) -> None:
        run = self._tracker.try_log(record, path, self._reporter.say)
        if run:
            self.session.mlflow_runs[record.cell.label] = run

    def _keep_timing(self, timing: Timing | None) -> None:
        """Joins it to what other seeds gave, if the same contestants came through.

        If others did, the timing of more of them stays. Raises NotWritten.
        """
        if timing is None:
            return
        before = self.session.timings.get(timing.label)
        if before and [c.name for c in before.contestants] == [c.name for c in timing.contestants]:
            timing = timings.joined(before, timing)
        elif before and len(before.contestants) > len(timing.contestants):
            return
        self.session.timings[timing.label] = timing
        timings.write(self._results, timing)


def exit_code(session: Session) -> int:
    """0: all well. 1: a cell failed, missed its target, is not verified or could not be written.
    130: interrupted."""
    if session.interrupted:
        return 130
    if session.not_written:
        return 1
    ran = [r for r in session.records if r.outcome is not Outcome.SKIPPED]
    well = all(r.outcome is Outcome.OK and r.verified and not r.missed for r in ran)
    return 0 if ran and well else 1
