"""Cells that are compared, trained in turns by workers that live side by side, then timed further.

The same rounds train and time: in each, every worker trains the same chunk.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import tasks
from suite.records import builder, timing as timings
from suite.records.cell import where
from suite.records.events import ChunkTimed, ChunkTrained, Event, Finished, Outcome
from suite.records.record import Record
from suite.records.timing import Contestant, Timing
from suite.session.equivalence import TIMED_STEPS
from suite.session.noise import Watch
from suite.session.process import Ending, Worker, launch_all
from suite.session.turns import Turns
from suite.system import environment


class Race:
    """The cells of one task and seed, of which each record is filled in as its worker reports.

    ``timeout`` [s] bounds the work of each cell, ``limit`` [s] what is added to the training to
    know the ratios of the speeds to ``base`` well enough, with that ``confidence``. ``job`` gives
    what else a cell's worker is told, and its ``command``; ``judge`` holds the losses of a cell's
    first steps against the proof, before any speed is made of it.
    """

    def __init__(
        self,
        records: Sequence[Record],
        timeout: float,
        limit: float,
        on_event: Callable[[Record, Event], None],
        job: Callable[[Record], dict[str, Any]] = lambda record: {},
        judge: Callable[[Record, Sequence[float]], None] = lambda record, losses: None,
        base: str | None = None,
        confidence: float = timings.SURE,
    ):
        self.timing: Timing | None = None
        self._records, self._on_event = records, on_event
        self._timeout, self._limit, self._job = timeout, limit, job
        self._judge = judge
        self._base, self._confidence = base, confidence
        self._finished: set[Worker] = set()
        self._turns: list[list[ChunkTrained | ChunkTimed]] = [[] for _ in records]
        """Turns of each cell, as it reported them: samples, operations and seconds."""
        self._workers: list[Worker] = []
        """One for each record."""

    def run(self, keep: Callable[[Record], None]) -> None:
        """Trains all, hands every record to ``keep`` once it is complete, and times on.

        KeyboardInterrupt if the user interrupts; what was not complete then was not kept.
        """
        with self._begun("train") as (turns, watch):
            self._catch_up(turns)
            while training := [w for w in turns.alive if w not in self._finished]:
                turns.round(training)
            self._judge_all()
            self._end()
            for record in self._records:
                keep(record)
            self._go_on(turns, watch)
            turns.dismiss()

    def time(self) -> None:
        """Times alone: nothing is trained to its end. KeyboardInterrupt as above."""
        with self._begun("time") as (turns, watch):
            for _ in range(TIMED_STEPS):  # a round is a step at least
                if max(map(len, map(_losses, self._turns))) < TIMED_STEPS and turns.alive:
                    turns.round(turns.alive)
            self._judge_all()
            self._go_on(turns, watch)
            self._end()
            turns.dismiss()

    @contextmanager
    def _begun(self, kind: str) -> Iterator[tuple[Turns, Watch]]:
        """Workers of that kind of job, alive, that have had their first turn."""
        with ExitStack() as stack:
            self._workers = [
                stack.enter_context(self._worker(n, kind)) for n in range(len(self._records))
            ]
            turns = Turns(self._workers, seed=self._records[0].cell.seed)
            watch = Watch([worker.pid for worker in self._workers])
            turns.begin(environment.at_once(max(r.cell.threads for r in self._records)))
            yield turns, watch

    def _judge_all(self) -> None:
        """Hands the first losses of each cell to ``judge``."""
        for record, own in zip(self._records, self._turns, strict=True):
            if losses := record.first_losses(TIMED_STEPS) or _losses(own):
                self._judge(record, losses)

    def _end(self) -> None:
        """Says in the records how their workers ended, or that those that live did well."""
        for record, worker in zip(self._records, self._workers, strict=True):
            ending = worker.ending or Ending(Outcome.OK, None)
            builder.end(record, ending.outcome, ending.reason, ending.stderr)

    def _catch_up(self, turns: Turns) -> None:
        """Brings those that went on from earlier checkpoints level with the furthest one.

        Until then their chunks are different ones: these turns are no rounds to compare.
        """
        furthest = max(len(record.chunks) for record in self._records)
        while behind := [
            worker
            for worker, record in zip(self._workers, self._records, strict=True)
            if worker.ending is None and len(record.chunks) < furthest
        ]:
            turns.round(behind)
        self._turns = [[] for _ in self._records]

    def _worker(self, number: int, kind: str) -> Worker:
        record = self._records[number]
        record.created = builder.now()
        builder.end(record, Outcome.INTERRUPTED, "stopped by the user")

        def on_event(event: Event) -> None:
            if isinstance(event, ChunkTrained | ChunkTimed):
                self._turns[number].append(event)
            builder.hear(record, event)
            if isinstance(event, Finished):
                self._finished.add(self._workers[number])
            self._on_event(record, event)

        return Worker(record.cell, kind, on_event, self._timeout, **self._job(record))

    def _go_on(self, turns: Turns, watch: Watch) -> None:
        """Rounds until the ratios of all that are still there are known well enough."""
        deadline = time.monotonic() + self._limit
        while turns.alive:
            timing = self._measured(turns, watch)
            over = time.monotonic() > deadline and len(timing.samples) >= timings.LEAST_ROUNDS
            precise = timing.precise(self._confidence)
            if over or precise:
                stopped = "interval" if precise else "limit"
                self.timing = dataclasses.replace(timing, stopped=stopped, ended=builder.now())
                return
            turns.round(turns.alive)

    def _measured(self, turns: Turns, watch: Watch) -> Timing:
        """The timing, as it is known now, of those that are still there, less the warm-up."""
        found = [
            (worker, record, own)
            for worker, record, own in zip(self._workers, self._records, self._turns, strict=True)
            if worker.ending is None
        ]
        rounds = min(len(own) for _, _, own in found)
        names = timings.names([record.cell.backend_label for _, record, _ in found])
        contestants = tuple(
            Contestant(
                name=name,
                backend=record.cell.backend,
                mode=record.cell.mode,
                verified=record.verified,
                seconds=tuple(turn.seconds for turn in own[:rounds]),
                idle_load=turns.idle_load(worker),
            )
            for name, (worker, record, own) in zip(names, found, strict=True)
        )
        _, record, own = found[0]
        place = where(record.cell for _, record, _ in found)
        conditions = dataclasses.replace(record.cell.shared, device=place)
        return timings.trimmed(
            Timing(
                record.session,
                conditions,
                created=record.created,
                unit=record.unit,
                samples=tuple(turn.samples for turn in own[:rounds]),
                operations=tuple(turn.operations for turn in own[:rounds]),
                machine=record.attainable if place == record.cell.device else {},
                contestants=contestants,
                wanted_base=self._base,
                warnings=watch.warnings(contestants),
                batch=tasks.config(
                    record.cell.task, record.cell.profile, record.cell.variant, record.cell.options
                ).batch,
                host=record.machine,
            )
        )


def _losses(own: Sequence[ChunkTrained | ChunkTimed]) -> list[float]:
    """The losses of the first turns: ``TIMED_STEPS`` of them, if there are as many, or more."""
    return [loss for turn in own[:TIMED_STEPS] for loss in turn.losses]


def train_untimed(
    records: Sequence[Record],
    on_event: Callable[[Record, Event], None],
    timeout: float | None = None,
    job: Callable[[Record], dict[str, Any]] = lambda record: {},
) -> None:
    """Trains the records' cells, as many at once as there are CPUs, and fills the records in.

    What they come to is what it always is; their seconds are not to be compared with anything.
    ``job`` is as of ``Race``. KeyboardInterrupt if the user interrupts.
    """
    finished: set[Worker] = set()

    def worker_of(record: Record) -> Worker:
        def heard(event: Event) -> None:
            builder.hear(record, event)
            on_event(record, event)
            if isinstance(event, Finished):
                finished.add(worker)

        worker = Worker(record.cell, "train", heard, timeout, **job(record))
        return worker

    def work(worker: Worker) -> None:
        while worker.turn() and worker not in finished:
            pass
        if worker.ending is None:
            worker.turn("stop")

    threads = max(record.cell.threads for record in records)
    workers = [worker_of(record) for record in records]
    for record, ending in zip(
        records, launch_all(workers, environment.at_once(threads), work), strict=True
    ):
        builder.end(record, ending.outcome, ending.reason, ending.stderr)
