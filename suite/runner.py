"""The runner: verifies, trains and records the cells of a session, one worker at a time."""

from __future__ import annotations

import dataclasses
import secrets
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import backends
import tasks
from suite import environment, records
from suite.contract import DataSource, Precision
from suite.equivalence import Verdict, Verifier
from suite.launch import Ending, Event, launch
from suite.progress import Reporter
from suite.records import Cell, Record
from suite.tracking import Tracker
from tasks import datasets

PRECISION: Precision = "float32"


@dataclass(frozen=True)
class Plan:
    """What the user asked to be run."""

    tasks: tuple[str, ...]
    backends: tuple[str, ...]
    device: str
    profile: str
    seeds: range
    threads: int
    data: str
    timeout: float


@dataclass
class Session:
    """What a run came to: every cell's record, in order, with its file and MLflow run."""

    id: str
    results: Path
    records: list[Record]
    mlflow_runs: dict[str, str]
    """By cell label; a cell that is not there was not tracked."""
    interrupted: bool = False


def new_session_id() -> str:
    """Sorts by time; unique even between sessions that begin in the same second."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)


def cells(plan: Plan, task: str, source: DataSource) -> Iterator[Cell]:
    """The cells of one task: backends take turns, seed by seed."""
    for seed in plan.seeds:
        for backend in plan.backends:
            yield Cell(
                task=task,
                variant=None,
                backend=backend,
                mode=backends.load(backend).MODE,
                device=plan.device,
                precision=PRECISION,
                seed=seed,
                profile=plan.profile,
                data=source,
                threads=plan.threads,
            )


class Runner:
    """Runs a plan into ``results`` and MLflow."""

    def __init__(self, plan: Plan, results: Path, tracker: Tracker, reporter: Reporter):
        self._plan, self._results = plan, results
        self._tracker, self._reporter = tracker, reporter
        self._verifiers: dict[str, Verifier] = {}
        self.session = Session(new_session_id(), results, [], {})

    def run(self) -> Session:
        """Every cell gets a record, whatever happens to it; Ctrl-C interrupts the rest."""
        sources = {name: self._resolve(name) for name in self._plan.tasks}
        todo = [c for name, source in sources.items() for c in cells(self._plan, name, source)]
        verdicts: dict[tuple[str, str], Verdict] = {}
        for number, cell in enumerate(todo, 1):
            record = self._new_record(cell)
            try:
                if self.session.interrupted:
                    record.outcome, record.reason = "interrupted", "not begun"
                elif reason := backends.load(cell.backend).available():
                    record.outcome, record.reason = "skipped", reason
                else:
                    key = (cell.task, cell.backend)
                    if key not in verdicts:
                        verdicts[key] = self._verify(cell)
                    _mark(record, verdicts[key])
                    if record.outcome == "ok":
                        self._reporter.cell_started(cell, number, len(todo))
                        self._train(record)
            except KeyboardInterrupt:
                record.outcome, record.reason = "interrupted", "stopped by the user"
            self._keep(record)
        return self.session

    def _resolve(self, task: str) -> DataSource:
        source, notice = datasets.resolve(tasks.DATASETS[task], self._plan.data)
        if notice:
            self._reporter.say(notice)
        return source

    def _verify(self, cell: Cell) -> Verdict:
        self._reporter.busy(f"verifying {cell.task} in {cell.backend}")
        if cell.task not in self._verifiers:
            task = tasks.load(cell.task, "full", cell.data)
            self._verifiers[cell.task] = Verifier(
                task, cell.device, cell.threads, cache_folder=self._results / "verified"
            )
        verdict = self._verifiers[cell.task].verify(cell.backend, cell.precision)
        if not verdict.verified and verdict.outcome != "skipped":
            self._reporter.say(f"{cell.task} in {cell.backend}: {verdict.explanation}")
        return verdict

    def _new_record(self, cell: Cell) -> Record:
        return Record(
            session=self.session.id,
            cell=cell,
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            packages=dict(environment.package_versions()),
            git=dict(environment.git_revision()),
            machine=dict(environment.machine()),
        )

    def _train(self, record: Record) -> None:
        epochs = tasks.config(record.cell.task, record.cell.profile).epochs

        def on_event(event: Event) -> None:
            _absorb(record, event)
            self._reporter.cell_event(event, epochs)

        ending = launch(record.cell, "train", on_event, timeout=self._plan.timeout)
        _conclude(record, ending)

    def _keep(self, record: Record) -> None:
        """To disk first; then to MLflow, whose failure costs nothing that cannot be sent later."""
        with _deferred_interrupt() as interrupted:
            path = records.write(self._results, record)
            self.session.records.append(record)
            self._reporter.cell_finished(record)
            run = self._tracker.try_log(record, path, self._reporter.say)
            if run:
                self.session.mlflow_runs[record.cell.label] = run
        self.session.interrupted |= record.outcome == "interrupted" or interrupted.is_set()


@contextmanager
def _deferred_interrupt() -> Iterator[threading.Event]:
    """Ends the block in spite of a first Ctrl-C, which sets the event; a second one stops it."""
    seen = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield seen  # signals go to the main thread
        return
    ordinary = signal.getsignal(signal.SIGINT)

    def first(number: int, frame: FrameType | None) -> None:
        seen.set()
        signal.signal(signal.SIGINT, ordinary)

    signal.signal(signal.SIGINT, first)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, ordinary)


def _mark(record: Record, verdict: Verdict) -> None:
    if verdict.outcome == "skipped":  # what cannot be verified for want of a device cannot run
        record.outcome, record.reason = verdict.outcome, verdict.reason
    record.verified = verdict.verified
    record.equivalence = {
        "precision": verdict.precision,
        "steps": verdict.steps,
        "explanation": verdict.explanation,
        "findings": [asdict(f) for f in verdict.findings],
    }


def _absorb(record: Record, event: Event) -> None:
    """Takes over what a worker reports, as it comes: a worker that dies leaves what it had done."""
    fields: dict[str, Any] = {k: v for k, v in event.items() if k != "event"}
    match event["event"]:
        case "started" | "finished":
            known = {f.name for f in dataclasses.fields(Record)}
            for name in known & fields.keys():
                setattr(record, name, fields[name])
        case "chunk":
            record.chunks.append(fields)
        case "epoch":
            record.epochs.append(fields)


def _conclude(record: Record, ending: Ending) -> None:
    record.outcome, record.reason = ending.outcome, ending.reason
    if ending.outcome != "ok":
        record.stderr = ending.stderr


def exit_code(session: Session) -> int:
    """0: all well. 1: a cell failed, missed its target or is not verified. 130: interrupted."""
    if session.interrupted:
        return 130
    ran: Iterable[Record] = [r for r in session.records if r.outcome != "skipped"]
    well = all(r.outcome == "ok" and r.verified and not r.missed for r in ran)
    return 0 if ran and well else 1
