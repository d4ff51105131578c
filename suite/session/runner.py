"""The runner: verifies, trains and records the cells of a session, backends in turns."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import backends
import tasks
from suite.records import builder, checkpoints, record as records, timing as timings
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.records.record import Record
from suite.records.timing import Timing
from suite.session import resume
from suite.session.forecast import forecast, shown
from suite.session.plan import Plan, cells, failed
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
    named: tuple[backends.Choice, ...] = ()
    """The contestants that were asked for by name."""

    def of_choice(self, choice: tasks.Choice) -> Session:
        """The part of it that is of a task and variant."""
        own = [r for r in self.records if (r.cell.task, r.cell.variant) == choice]
        return replace(self, records=own)


def new_session_id() -> str:
    """Sorts by time; unique even between sessions that begin in the same second."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)


class Runner:
    """Runs a plan into ``results`` and MLflow.

    With the id of a session, only what that one has no good record of, training from checkpoints.
    ``show`` gets each task's part of the session as soon as all its seeds are done.
    """

    def __init__(
        self,
        plan: Plan,
        results: Path,
        tracker: Tracker,
        reporter: Reporter,
        resumed: str | None = None,
        preparation: Preparation | None = None,
        show: Callable[[Session], None] = lambda part: None,
    ):
        self._plan, self._results, self._show = plan, results, show
        self._tracker, self._reporter = tracker, reporter
        self.session = Session(resumed or new_session_id(), results, [], {})
        self.session.named = plan.named
        self._preparation = preparation or Preparation(plan, results, reporter)
        self._earlier = resume.earlier(results, resumed) if resumed else {}

    def run(self) -> Session:
        """Every cell gets a record, whatever happens to it; Ctrl-C interrupts the rest.

        A second Ctrl-C is a KeyboardInterrupt here and now.

        When results cannot be written any more, it says so and ends.
        """
        sources = {name: self._preparation.source(name) for name, _ in self._plan.choices}
        groups = [
            list(cells(self._plan, choice, seed, sources[choice[0]]))
            for choice, seed in itertools.product(self._plan.choices, self._plan.seeds)
        ]
        with Interrupts(self._reporter.say) as interrupts:
            left = self._seconds_left(groups, interrupts)
            try:
                for number, group in enumerate(groups):
                    task = group[0].task, group[0].variant
                    with self._tracked() as fresh:
                        place = f"[{number + 1}/{len(groups)}]", left[number]
                        self._run_group(group, place, interrupts, fresh)
                        if group[0].seed == self._plan.seeds[-1]:
                            self._show(self.session.of_choice(task))
            except records.NotWritten as error:
                self.session.not_written = True
                self._show(self.session.of_choice(task))
                self._reporter.say(
                    f"{error}: it cannot be written, and the session ends; make room and "
                    f"`tetragrad run --resume {self.session.id}{records.elsewhere(self._results)}`"
                )
            self.session.interrupted = interrupts.seen
        return self.session

    def _seconds_left(self, groups: Sequence[list[Cell]], interrupts: Interrupts) -> list[float]:
        """Tells how long the groups will take; the seconds from each of them to the end, 0 where
        that is not known."""
        with suppress(KeyboardInterrupt), interrupts.raised():
            rest = [
                [c for c in group if _is_there(c) and self._good_record(c) is None]
                for group in groups
            ]
            prepared = self._preparation
            expected = forecast(
                *([group for group in rest if group], self._results, self._plan.timing_limit),
                *(prepared.proved, prepared.matmul),
            )
            if expected.sentence:
                self._reporter.say(expected.sentence)
            before = itertools.accumulate((bool(group) for group in rest), initial=0)
            return [expected.left(number) for number in before]
        return [0.0 for _ in groups]

    @contextmanager
    def _tracked(self) -> Iterator[list[Record]]:
        """A list, whose records are sent to MLflow once the block has ended, however it did.

        Tables come before: MLflow takes seconds to start. A failure costs nothing that cannot be
        sent later.
        """
        fresh: list[Record] = []
        try:
            yield fresh
        finally:
            for record in fresh:
                self._track(record, records.path_of(self._results, record))

    def _run_group(
        self,
        group: Sequence[Cell],
        place: tuple[str, float],
        interrupts: Interrupts,
        fresh: list[Record],
    ) -> None:
        """Verifies the cells of one task and seed, and trains them in turns.

        ``place`` is the group's number, as text, and the seconds from here to the end. Records
        that it writes are added to ``fresh``.
        """
        kept = [record for cell in group if (record := self._good_record(cell))]
        there = {record.cell.label: record for record in kept}
        found = [there.get(cell.label) or builder.begin(self.session.id, cell) for cell in group]
        self.session.records += found  # in the order asked for, whichever is kept first
        self._take_over(kept)

        timing = None

        def keep(record: Record) -> None:
            with interrupts.postponed():
                self._keep(record)
                fresh.append(record)

        try:
            with interrupts.raised():
                rest = [record for record in found if record not in kept]
                timing = self._train(rest, keep, place)
        except KeyboardInterrupt:
            if interrupts.again:
                fresh.clear()  # here and now: `sync` sends them
                raise
        for record in found:
            before = self._earlier.get(record.cell.label)
            if before and record.outcome is Outcome.NOT_BEGUN:
                self.session.records[self.session.records.index(record)] = before
            elif record not in (*kept, *fresh):
                if record.outcome is Outcome.NOT_BEGUN:
                    record.reason = "the session ended before"
                self._keep(record)
                fresh.append(record)
        self._keep_timing(timing, fresh)

    def _train(
        self, rest: Sequence[Record], keep: Callable[[Record], None], place: tuple[str, float]
    ) -> Timing | None:
        """Verifies and trains those of one task and seed, in turns; how fast they were."""
        todo = self._preparation.ready(rest)
        if not todo:
            return None
        number, left = place
        more = f", about {shown(left)} left" if left else ""
        self._reporter.busy(f"{number} {todo[0].cell.task_label}, seed {todo[0].cell.seed}{more}")
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
        return race.timing

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
        """To disk, before all else."""
        records.write(self._results, record)
        if record.outcome in (Outcome.OK, Outcome.DIVERGED):  # any other may go on from there
            checkpoints.discard(self._checkpoint(record))
        self._reporter.cell_finished(record)

    def _track(self, record: Record, path: Path) -> None:
        run = self._tracker.try_log(record, path, self._reporter.say)
        if run:
            self.session.mlflow_runs[record.cell.label] = run

    def _keep_timing(self, timing: Timing | None, found: Sequence[Record]) -> None:
        """Keeps each contestant's speed in its record of ``found``, and the timing.

        It is joined to what other seeds gave, if the same contestants came through. If others did,
        the timing of more of them stays. Raises NotWritten.
        """
        if timing is None:
            return
        names = {contestant.name for contestant in timing.contestants}
        for record in found:
            if record.cell.backend_label in names:
                record.timed = timing.told(record.cell.backend_label)
                records.write(self._results, record)
                self._reporter.cell_timed(record)
        before = self.session.timings.get(timing.label)
        if before and [c.name for c in before.contestants] == [c.name for c in timing.contestants]:
            timing = timings.joined(before, timing)
        elif before and len(before.contestants) > len(timing.contestants):
            return
        self.session.timings[timing.label] = timing
        timings.write(self._results, timing)


def _is_there(cell: Cell) -> bool:
    return backends.unavailable(cell.backend, cell.mode, cell.task) is None


def exit_code(session: Session) -> int:
    """0: all well. 1: a cell failed, missed its target, is not verified, could not be written, or
    was skipped though asked for by name. 130: interrupted."""
    if session.interrupted:
        return 130
    if session.not_written:
        return 1
    ran = any(record.outcome is not Outcome.SKIPPED for record in session.records)
    bad = any(failed(record, session.named) or record.missed for record in session.records)
    return 0 if ran and not bad else 1
