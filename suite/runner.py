"""The runner: verifies, trains and records the cells of a session, one worker at a time."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import backends
import tasks
from suite import environment, records
from suite.contract import DataSource, Precision
from suite.equivalence import Verdict, Verifier
from suite.interrupts import Interrupts
from suite.launch import Event, launch
from suite.progress import Reporter
from suite.records import Cell, Record
from suite.tracking import Tracker
from tasks import datasets

PRECISION: Precision = "float32"


@dataclass(frozen=True)
class Plan:
    """What the user asked to be run."""

    choices: tuple[tasks.Choice, ...]
    backends: tuple[str, ...]
    device: str
    profile: str
    seeds: range
    threads: int
    data: str
    timeout: float
    options: dict[str, str] = field(default_factory=dict)
    """Constants that were chosen, by name, of every task that has them."""


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


def cells(plan: Plan, choice: tasks.Choice, source: DataSource) -> Iterator[Cell]:
    """The cells of one task: backends take turns, seed by seed."""
    for seed in plan.seeds:
        for backend in plan.backends:
            yield Cell(
                task=choice[0],
                variant=choice[1],
                backend=backend,
                mode=backends.load(backend).MODE,
                device=plan.device,
                precision=PRECISION,
                seed=seed,
                profile=plan.profile,
                data=source,
                threads=plan.threads,
                options={
                    k: v for k, v in plan.options.items() if k in tasks.OPTIONS.get(choice[0], {})
                },
            )


class Runner:
    """Runs a plan into ``results`` and MLflow."""

    def __init__(self, plan: Plan, results: Path, tracker: Tracker, reporter: Reporter):
        self._plan, self._results = plan, results
        self._tracker, self._reporter = tracker, reporter
        self._verifiers: dict[str, Verifier] = {}
        self._verdicts: dict[tuple[str, str], Verdict] = {}
        """By the task's label and the backend."""
        self.session = Session(new_session_id(), results, [], {})

    def run(self) -> Session:
        """Every cell gets a record, whatever happens to it; Ctrl-C interrupts the rest."""
        sources = {name: self._resolve(name) for name, _ in self._plan.choices}
        todo = [
            c
            for choice in self._plan.choices
            for c in cells(self._plan, choice, sources[choice[0]])
        ]
        with Interrupts() as interrupts:
            for number, cell in enumerate(todo, 1):
                record = self._new_record(cell)
                record.outcome, record.reason = "interrupted", "not begun"
                try:
                    with interrupts.raised():
                        self._attempt(record, f"[{number}/{len(todo)}]")
                except KeyboardInterrupt:
                    pass
                self._keep(record)
            self.session.interrupted = interrupts.seen
        return self.session

    def _attempt(self, record: Record, place: str) -> None:
        """Verifies and trains a cell, if its backend is there."""
        cell = record.cell
        record.reason = "stopped by the user"
        if reason := backends.load(cell.backend).available():
            record.outcome, record.reason = "skipped", reason
            return
        key = (cell.task_label, cell.backend)
        if key not in self._verdicts:
            self._verdicts[key] = self._verify(cell)
        verdict = self._verdicts[key]
        record.verified, record.equivalence = verdict.verified, asdict(verdict)
        if verdict.outcome == "skipped":  # for want of a device
            record.outcome, record.reason = verdict.outcome, verdict.reason
        else:
            self._train(record, place)

    def _resolve(self, task: str) -> DataSource:
        source, notice = datasets.resolve(tasks.DATASETS[task], self._plan.data)
        if notice:
            self._reporter.say(notice)
        return source

    def _verify(self, cell: Cell) -> Verdict:
        label = cell.task_label
        self._reporter.busy(f"verifying {label} in {cell.backend}")
        if label not in self._verifiers:
            task = tasks.load(cell.task, "full", cell.data, cell.variant)
            self._verifiers[label] = Verifier(
                task,
                cell.device,
                cell.threads,
                timeout=self._plan.timeout,
                cache_folder=self._results / "verified",
            )
        verdict = self._verifiers[label].verify(cell.backend, cell.precision)
        if not verdict.verified and verdict.outcome != "skipped":
            self._reporter.say(f"{label} in {cell.backend}: {verdict.explanation}")
        return verdict

    def _new_record(self, cell: Cell) -> Record:
        return Record(
            session=self.session.id,
            cell=cell,
            created=_now(),
            packages=dict(environment.package_versions()),
            git=dict(environment.git_revision()),
            machine=dict(environment.machine()),
        )

    def _train(self, record: Record, place: str) -> None:
        cell = record.cell
        epochs = tasks.config(cell.task, cell.profile, cell.variant).epochs

        def on_event(event: Event) -> None:
            _absorb(record, event)
            self._reporter.cell_event(event, epochs)

        self._reporter.busy(f"{place} {record.cell.label}")
        record.created = _now()
        ending = launch(record.cell, "train", on_event, timeout=self._plan.timeout)
        record.outcome, record.reason = ending.outcome, ending.reason
        if ending.outcome != "ok":
            record.stderr = ending.stderr

    def _keep(self, record: Record) -> None:
        """To disk first; then to MLflow, whose failure costs nothing that cannot be sent later."""
        path = records.write(self._results, record)
        self.session.records.append(record)
        self._reporter.cell_finished(record)
        run = self._tracker.try_log(record, path, self._reporter.say)
        if run:
            self.session.mlflow_runs[record.cell.label] = run


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _absorb(record: Record, event: Event) -> None:
    """Takes over what a worker reports, as it comes: a worker that dies leaves what it had done."""
    fields: dict[str, Any] = {k: v for k, v in event.items() if k != "event"}
    match event["event"]:
        case "started" | "shown" | "finished":
            known = {f.name for f in dataclasses.fields(Record)}
            for name in known & fields.keys():
                setattr(record, name, fields[name])
        case "chunk":
            record.chunks.append(fields)
        case "epoch":
            record.epochs.append(fields)


def exit_code(session: Session) -> int:
    """0: all well. 1: a cell failed, missed its target or is not verified. 130: interrupted."""
    if session.interrupted:
        return 130
    ran = [r for r in session.records if r.outcome != "skipped"]
    well = all(r.outcome == "ok" and r.verified and not r.missed for r in ran)
    return 0 if ran and well else 1
