"""The runner: verifies, trains and records the cells of a session, backends in turns."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import backends
import tasks
from suite import checkpoints, records, resume, timings
from suite.contract import DataSource, Precision
from suite.equivalence import Verdict, Verifier
from suite.interrupts import Interrupts
from suite.launch import Event, launch
from suite.progress import Reporter
from suite.records import Cell, Record
from suite.timings import Timing
from suite.together import Together, new_record
from suite.tracking import Tracker
from tasks import datasets

PRECISION: Precision = "float32"


@dataclass(frozen=True)
class Plan:
    """What the user asked to be run."""

    choices: tuple[tasks.Choice, ...]
    backends: tuple[backends.Choice, ...]
    device: str
    profile: str
    seeds: range
    threads: int
    data: str
    timeout: float
    timing_limit: float
    """Seconds that may be added for each task and seed to know the ratios of speeds well."""
    early_stopping: int | None = None
    """Epochs of patience, if training is to be stopped early."""
    options: dict[str, str] = field(default_factory=dict)
    """Constants that were chosen, by name, of every task that has them."""
    checkpoint_every: float = 60.0
    """Seconds of training."""
    memory_limit: int | None = None
    """Bytes that a worker may use."""


@dataclass
class Session:
    """What a run came to: every cell's record, in order, with its file and MLflow run."""

    id: str
    results: Path
    records: list[Record]
    mlflow_runs: dict[str, str]
    """By cell label; a cell that is not there was not tracked."""
    timings: dict[str, Timing] = field(default_factory=dict)
    """By task: how fast those that trained in turns were."""
    interrupted: bool = False
    not_written: bool = False
    """Whether it ended because its results could not be written."""


def new_session_id() -> str:
    """Sorts by time; unique even between sessions that begin in the same second."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)


def cells(plan: Plan, choice: tasks.Choice, seed: int, source: DataSource) -> Iterator[Cell]:
    """The cells of one task and seed, one for each backend and mode: they are compared."""
    own = tasks.OPTIONS.get(choice[0], {})
    for backend, mode in plan.backends:
        yield Cell(
            task=choice[0],
            variant=choice[1],
            backend=backend,
            mode=mode,
            device=plan.device,
            precision=PRECISION,
            seed=seed,
            profile=plan.profile,
            data=source,
            threads=plan.threads,
            early_stopping=plan.early_stopping,
            options={name: value for name, value in plan.options.items() if name in own},
        )


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
        self._verifiers: dict[str, Verifier] = {}
        self._verdicts: dict[tuple[str, str], Verdict] = {}
        """By the labels of the task and of the backend with its mode."""
        self._machine: dict[str, float] | None = None
        """What the machine attains; None until it is measured."""
        self.session = Session(resumed or new_session_id(), results, [], {})
        self._earlier = resume.earlier(results, resumed) if resumed else {}

    def run(self) -> Session:
        """Every cell gets a record, whatever happens to it; Ctrl-C interrupts the rest.

        A second Ctrl-C is a KeyboardInterrupt here and now.

        When results cannot be written any more, it says so and ends.
        """
        sources = {name: self._resolve(name) for name, _ in self._plan.choices}
        groups = [
            list(cells(self._plan, choice, seed, sources[choice[0]]))
            for choice in self._plan.choices
            for seed in self._plan.seeds
        ]
        with Interrupts() as interrupts:
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
        found = [there.get(cell.label) or new_record(self.session.id, cell) for cell in group]
        self.session.records += found  # in the order asked for, whichever is kept first
        self._take_over(kept)
        for record in found:
            if record not in kept:
                record.outcome, record.reason = "interrupted", "not begun"

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
            if before and record.reason == "not begun":
                self.session.records[self.session.records.index(record)] = before
            elif record not in kept:
                self._keep(record)

    def _train(self, rest: Sequence[Record], keep: Callable[[Record], None], place: str) -> None:
        """Verifies and trains those of one task and seed, in turns."""
        todo = [record for record in rest if self._is_to_be_trained(record)]
        if not todo:
            return
        attainable = self._attainable(todo[0].cell)
        for record in todo:
            record.attainable = dict(attainable)
        self._reporter.busy(f"{place} {todo[0].cell.task_label}, seed {todo[0].cell.seed}")
        epochs = self._epochs(todo[0].cell)
        together = Together(
            todo,
            self._plan.timeout,
            self._plan.timing_limit,
            lambda record, event: self._reporter.cell_event(record.cell, event, epochs),
            self._job,
        )
        together.run(keep)
        self._keep_timing(together.timing)

    def _good_record(self, cell: Cell) -> Record | None:
        """What the resumed session has of a cell, if it holds."""
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
        """What a worker is told besides its cell."""
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

    def _is_to_be_trained(self, record: Record) -> bool:
        """Verifies a cell, if its backend is there, and says whether to train it."""
        cell = record.cell
        record.reason = "stopped by the user"
        if reason := backends.load(cell.backend).available(cell.mode):
            record.outcome, record.reason = "skipped", reason
            return False
        key = (cell.task_label, cell.backend_label)
        if key not in self._verdicts:
            self._verdicts[key] = self._verify(cell)
        verdict = self._verdicts[key]
        record.verified, record.equivalence = verdict.verified, asdict(verdict)
        if verdict.outcome == "skipped":  # for want of a device
            record.outcome, record.reason = verdict.outcome, verdict.reason
            return False
        record.reason = "not begun"
        return True

    def _attainable(self, cell: Cell) -> dict[str, float]:
        """What the machine attains on the CPU, measured once: nothing else is at work now."""
        if self._machine is None:
            self._machine = {}
            if cell.device == "cpu":
                self._reporter.busy("measuring what the machine attains")
                ((name, mode),) = backends.choices("numpy")
                numpy = replace(cell, backend=name, mode=mode)
                ending = launch(numpy, "machine", self._on_measured, self._plan.timeout)
                if ending.outcome == "interrupted":
                    raise KeyboardInterrupt
                if ending.outcome != "ok":
                    self._reporter.say(f"no efficiency: the machine {ending.reason}")
        return self._machine

    def _on_measured(self, event: Event) -> None:
        if event["event"] == "measured":
            self._machine = event["attainable"]

    def _epochs(self, cell: Cell) -> int:
        epochs: int = tasks.config(cell.task, cell.profile, cell.variant).epochs
        return epochs

    def _resolve(self, task: str) -> DataSource:
        source, notice = datasets.resolve(tasks.DATASETS[task], self._plan.data)
        if notice:
            self._reporter.say(notice)
        return source

    def _verify(self, cell: Cell) -> Verdict:
        label = cell.task_label
        self._reporter.busy(f"verifying {label} in {cell.backend_label}")
        if label not in self._verifiers:
            task = tasks.load(cell.task, "full", cell.data, cell.variant)
            self._verifiers[label] = Verifier(
                task,
                cell.device,
                cell.threads,
                timeout=self._plan.timeout,
                cache_folder=self._results / "verified",
                memory_limit=self._plan.memory_limit,
            )
        verdict = self._verifiers[label].verify((cell.backend, cell.mode), cell.precision)
        if not verdict.verified and verdict.outcome != "skipped":
            self._reporter.say(f"{label} in {cell.backend_label}: {verdict.explanation}")
        return verdict

    def _keep(self, record: Record) -> None:
        """To disk first; then to MLflow, whose failure costs nothing that cannot be sent later."""
        path = records.write(self._results, record)
        if record.outcome in ("ok", "diverged"):  # any other may go on from there
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
        try:
            records.write_json(timings.path_of(self._results, timing), asdict(timing))
        except OSError as error:
            raise records.NotWritten(f"the timing of {timing.label}: {error.strerror}") from None


def exit_code(session: Session) -> int:
    """0: all well. 1: a cell failed, missed its target, is not verified or could not be written.
    130: interrupted."""
    if session.interrupted:
        return 130
    if session.not_written:
        return 1
    ran = [r for r in session.records if r.outcome != "skipped"]
    well = all(r.outcome == "ok" and r.verified and not r.missed for r in ran)
    return 0 if ran and well else 1
