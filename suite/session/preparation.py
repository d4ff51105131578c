"""Preparation of cells that are to be trained or timed: verifying them, measuring the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

import backends
import tasks
from suite.records import builder
from suite.records.cell import Cell
from suite.records.events import Event, Measured, Outcome
from suite.records.record import Record
from suite.records.verdict import Verdict, verdict_from
from suite.session.plan import Plan
from suite.session.process import launch
from suite.session.reporter import Reporter
from suite.session.trajectory import Trajectories
from suite.session.verifier import Verifier
from suite.system.devices import CPU
from suite.system.revisions import HERE, Side
from tasks.task import DataSource


class Preparation:
    """Prepares the cells of a plan: verifies each task in each backend of ``side`` once, measures
    the machine."""

    def __init__(self, plan: Plan, results: Path, reporter: Reporter, side: Side = HERE):
        self._plan, self._results, self._reporter, self._side = plan, results, reporter, side
        self._verifiers: dict[tuple[str, str], Verifier] = {}
        """By the task's label and the device."""
        self._trajectories = Trajectories(plan.timeout, side.python)
        self._verdicts: dict[tuple[str, str], Verdict] = {}
        """By the labels of the task and of the backend with its mode."""
        self.attained: dict[tuple[str, str, str], dict[str, float]] = {}
        """Rates that backends attain on this machine, by backend, device and precision."""

    @property
    def timeout(self) -> float:
        """Seconds that a worker may take."""
        return self._plan.timeout

    def source(self, task: str) -> DataSource:
        """Which data a task is to use; says why, if that is not what one would expect."""
        source, notice = tasks.resolve(task, self._plan.data)
        if notice:
            self._reporter.say(notice)
        return source

    def ready(self, records: Sequence[Record]) -> list[Record]:
        """Those whose backend is there, verified or found wanting, with what the machine attains.

        KeyboardInterrupt if the user interrupts.
        """
        for record in records:
            cell = record.cell
            if reason := backends.unavailable(cell.backend, cell.mode, cell.task):
                builder.end(record, Outcome.SKIPPED, reason)
        cells = [record.cell for record in records if record.outcome is not Outcome.SKIPPED]
        for device in dict.fromkeys(cell.device for cell in cells):
            self._verify([cell for cell in cells if cell.device == device])
        found = [record for record in records if self._is_there(record)]
        if found:
            self._trajectories.prepare(found[0].cell)
        for record in found:
            record.attainable = self._attainable(record.cell, [r.cell for r in found])
        return found

    def proved(self, cells: Sequence[Cell]) -> bool:
        """Tells if cells of one task need not be verified any more."""
        return all(
            self._verifier(cell).has_proved([((cell.backend, cell.mode), cell.precision)])
            for cell in cells
        )

    def matmul(self, cell: Cell) -> float | None:
        """The rate of matrix products on the cell's device [operations/s]; None if unknown."""
        return self._attainable(cell, [cell]).get("matmul")

    def judge(self, record: Record, losses: Sequence[float]) -> None:
        """Holds the first losses of a cell's own training against the oracle's."""
        cell = record.cell
        task = self._verifiers[cell.task_label, cell.device].task
        before = record.verified
        self._trajectories.judge(record, np.asarray(losses), task)
        if before and not record.verified and record.equivalence:
            why = verdict_from(record.equivalence).explanation
            self._reporter.say(f"{cell.task_label} in {cell.backend_label}: {why}")

    def _is_there(self, record: Record) -> bool:
        """Once it is verified, if it can be."""
        if record.outcome is Outcome.SKIPPED:
            return False
        cell = record.cell
        verdict = self._verdicts[cell.task_label, cell.backend_label]
        record.verified, record.equivalence = verdict.verified, asdict(verdict)
        if verdict.outcome is Outcome.SKIPPED:  # for want of a device
            builder.end(record, verdict.outcome, verdict.reason)
            return False
        return True

    def _attainable(self, cell: Cell, cells: Sequence[Cell]) -> dict[str, float]:
        """Rates that a cell's device attains in its precision, see ``rates``; empty if unknown."""
        where = cell.device, cell.precision
        if where == (CPU, "float32"):
            names = ["numpy"]
        else:
            rivals = (c.backend for c in cells if (c.device, c.precision) == where)
            names = list(dict.fromkeys(rivals))
        found: dict[str, float] = {}
        for name in names:
            for what, rate in self._rates(name, cell).items():
                found[what] = max(rate, found.get(what, 0.0))
        return found

    def _rates(self, name: str, cell: Cell) -> dict[str, float]:
        """Those of one backend, measured once: nothing else is at work now."""
        key = name, cell.device, cell.precision
        if key not in self.attained:
            self._reporter.busy(f"measuring what {name} attains on {cell.device}")
            found = self.attained[key] = {}
            ((_, mode),) = backends.choices(name)

            def on_event(event: Event) -> None:
                if isinstance(event, Measured):
                    found.update(event.attainable)

            asked = replace(cell, backend=name, mode=mode)
            ending = launch(asked, "machine", on_event, self._plan.timeout)
            if ending.outcome is Outcome.INTERRUPTED:
                raise KeyboardInterrupt
            if ending.outcome is not Outcome.OK:
                self._reporter.say(f"no efficiency by {name}: measuring {ending.reason}")
        return self.attained[key]

    def _verify(self, cells: Sequence[Cell]) -> None:
        """Those of one task and device, of which there is no verdict yet."""
        fresh = [c for c in cells if (c.task_label, c.backend_label) not in self._verdicts]
        if not fresh:
            return
        label, first = fresh[0].task_label, fresh[0]
        self._reporter.busy(f"verifying {label} in {', '.join(c.backend_label for c in fresh)}")
        wanted = [((cell.backend, cell.mode), cell.precision) for cell in fresh]
        for cell, verdict in zip(fresh, self._verifier(first).prove(wanted), strict=True):
            self._verdicts[label, cell.backend_label] = verdict
            if not verdict.verified and verdict.outcome is not Outcome.SKIPPED:
                self._reporter.say(f"{label} in {cell.backend_label}: {verdict.explanation}")

    def _verifier(self, cell: Cell) -> Verifier:
        """The verifier of the cell's task and device."""
        key = cell.task_label, cell.device
        if key not in self._verifiers:
            options = tasks.of_the_model(cell.task, cell.options)
            task = tasks.load(cell.task, "full", cell.data, cell.variant, options)
            self._verifiers[key] = Verifier(
                task,
                cell.device,
                cell.threads,
                timeout=self._plan.timeout,
                cache_folder=self._results / "verified",
                memory_limit=self._plan.memory_limit,
                side=self._side,
            )
        return self._verifiers[key]
