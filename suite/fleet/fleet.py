"""A run on a fleet: the same plan, records and session as the runner's, by many nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import tasks
from suite.fleet import engine
from suite.fleet.dispatch import Dispatch, Work
from suite.fleet.engine import RayCluster
from suite.fleet.home import Comparison, Results
from suite.fleet.loop import STOPPED, ClusterLost, drive
from suite.records import builder, record as records
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.session import resume
from suite.session.plan import Plan, cells
from suite.session.reporter import Reporter
from suite.session.runner import Session, new_session_id
from suite.system import devices
from suite.system.interrupts import Interrupts
from suite.tracking.tracker import Tracker
from tasks.task import RequestError, Task


class FleetReporter(Reporter, Protocol):
    """Hears what the nodes do, too."""

    def fleet(self, done: int, total: int, at_work: Mapping[str, str]) -> None:
        """So many comparisons of all are done; what every node is doing, by its name."""


class Fleet:
    """Runs a plan on the nodes of a cluster, into ``results`` and MLflow.

    With the id of a session, only the comparisons of which that has not all records.
    """

    def __init__(
        self,
        plan: Plan,
        results: Path,
        tracker: Tracker,
        reporter: FleetReporter,
        resumed: str | None,
        cluster: RayCluster,
    ):
        self._plan, self._results = plan, results
        self._reporter, self._cluster = reporter, cluster
        self.session = Session(resumed or new_session_id(), results, [], {}, named=plan.named)
        cluster.session = self.session.id
        self._earlier = resume.earlier(results, resumed) if resumed else {}
        self._comparisons = {
            Work(own[0].task_label, seed): Comparison(choice, seed, own)
            for choice in plan.choices
            for seed in plan.seeds
            if (own := tuple(cells(plan, choice, seed, cluster.sources[choice[0]])))
        }
        self._home = Results(
            *(plan, self.session.id, results, tracker, reporter),
            comparisons=self._comparisons,
            earlier=self._earlier,
        )
        self._loaded: dict[object, Task | None] = {}
        """The tasks whose records are looked at, by conditions."""

    def run(self) -> Session:
        """Every cell gets a record, whatever happens to it; Ctrl-C interrupts the rest.

        When results cannot be written any more, or the cluster is gone, it says so and ends.
        """
        kept = {work for work, own in self._comparisons.items() if self._is_kept(own)}
        dispatch = Dispatch(work for work in self._comparisons if work not in kept)
        self._home.open()
        for work in kept:
            for cell in self._comparisons[work].cells:
                self._home.add(self._earlier[cell.label])
        if kept:
            self._reporter.say(f"{len(kept)} of {len(self._comparisons)} kept from before")
        with Interrupts(self._reporter.say) as interrupts:
            try:
                why = self._drive(dispatch, lambda: interrupts.seen)
                self._conclude(dispatch, why)
                self.session.timings = self._home.close()
            except records.NotWritten as error:
                self.session.not_written = True
                self._reporter.say(f"{error}: it cannot be written, and the session ends")
                why = str(error)
            self.session.interrupted = interrupts.seen
        self.session.mlflow_runs = self._home.runs
        everything = (cell for own in self._comparisons.values() for cell in own.cells)
        there = self._earlier | self._home.records
        self.session.records = [there[c.label] for c in everything if c.label in there]
        if why and not self.session.interrupted:
            self._reporter.say(
                f"{why}; to go on: tetragrad run --resume {self.session.id} --cluster ADDRESS"
                f"{records.elsewhere(self._results)}"
            )
        return self.session

    def _drive(self, dispatch: Dispatch, stopped: Callable[[], bool]) -> str | None:
        try:
            why = drive(dispatch, self._cluster, self._home, lambda: self._show(dispatch), stopped)
            if why is None:  # else there may be checkpoints to go on from
                self._cluster.forget()
        except ClusterLost as error:
            return f"the cluster is lost ({error})"
        return why

    def _show(self, dispatch: Dispatch) -> None:
        at_work = {node.name: str(node.work) for node in dispatch.nodes.values() if node.work}
        self._reporter.fleet(len(dispatch.done), dispatch.total, at_work)

    def _conclude(self, dispatch: Dispatch, why: str | None) -> None:
        """Tells of nodes that were left out, and gives a record to every cell that has none."""
        for name, reason in dispatch.left_out.items():
            self._reporter.say(f"{name} failed three times and was left out: {reason}")
        for work, own in self._comparisons.items():
            for cell in own.cells:
                if cell.label in self._home.records or cell.label in self._earlier:
                    continue
                record = builder.begin(self.session.id, cell)
                record.machine = {}  # it was on none
                record.reason = "the session ended before"
                if work in dispatch.given_up:
                    reason = f"given up after these failures: {dispatch.given_up[work]}"
                    builder.end(record, Outcome.CRASHED, reason)
                elif why == STOPPED and any(n.work == work for n in dispatch.nodes.values()):
                    builder.end(record, Outcome.INTERRUPTED, STOPPED)
                records.write(self._results, record)
                self._home.add(record)
                self._reporter.cell_finished(record)

    def _is_kept(self, own: Comparison) -> bool:
        """Tells if the resumed session has good records of all of a comparison's cells."""
        return all(cell.label in self._earlier and self._holds(cell) for cell in own.cells)

    def _holds(self, cell: Cell) -> bool:
        key = cell.shared.key
        if key not in self._loaded:
            try:
                self._loaded[key] = tasks.load(
                    cell.task, cell.profile, cell.data, cell.variant, cell.options
                )
            except RequestError:  # the data are on the nodes alone, which then look at the record
                self._loaded[key] = None
        task = self._loaded[key]
        return task is not None and resume.still_holds(self._earlier[cell.label], cell, task)


@contextmanager
def opened(
    address: str,
    plan: Plan,
    results: Path,
    tracker: Tracker,
    reporter: FleetReporter,
    resumed: str | None,
) -> Iterator[Fleet]:
    """A fleet whose nodes have all that the plan needs. RequestError if not."""
    device = plan.conditions.device
    if device not in (devices.CPU, devices.CUDA):
        raise RequestError(
            f"--device {device} is not the same on every node of a cluster; give {devices.CPU} "
            f"or {devices.CUDA}"
        )
    reporter.busy(f"connecting to {address}")
    with engine.connected(address, reporter.say) as ray:
        yield Fleet(plan, results, tracker, reporter, resumed, RayCluster(ray, plan, reporter))
