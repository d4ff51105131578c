"""Workers that are compared: one is at work at a time, in random order round by round.

A drift of the machine (heat, a neighbour) then hits all of them alike, and what one leaves in the
caches hits no one in particular.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import psutil

from suite.records.events import Outcome
from suite.session.process import Worker, in_threads
from suite.system.readings import readable


class Turns:
    """Gives turns. A worker that ends drops out; ``seed`` fixes the orders."""

    def __init__(self, workers: Sequence[Worker], seed: int):
        self._workers = workers
        self._random = random.Random(seed)
        self._waiting: dict[Worker, tuple[float | None, float]] = {}
        """Processor and wall-clock seconds when its last turn ended."""
        self._idle = dict.fromkeys(workers, (0.0, 0.0))

    @property
    def alive(self) -> list[Worker]:
        """Those that have not ended."""
        return [worker for worker in self._workers if worker.ending is None]

    def begin(self, at_once: int = 1) -> None:
        """The first turn of each, in which it imports, builds and compiles.

        Several ``at_once`` if it need not be known how long that takes; KeyboardInterrupt as below.
        """
        if at_once == 1:
            for worker in self._workers:
                self._turn(worker)
        else:
            in_threads(self._turn, self._workers, at_once)

    def round(self, workers: Sequence[Worker]) -> None:
        """A turn for each of ``workers``. KeyboardInterrupt if the user interrupts one."""
        for worker in self._random.sample(workers, len(workers)):
            if worker.ending is None:
                self._turn(worker)

    def dismiss(self) -> None:
        """Lets those that wait for a turn end without another."""
        for worker in self.alive:
            worker.turn("stop")

    def idle_load(self, worker: Worker) -> float:
        """Processor seconds per second that it used while it was to wait: 0, or it disturbed."""
        used, waited = self._idle[worker]
        return used / waited if waited else 0.0

    def _turn(self, worker: Worker) -> None:
        if worker in self._waiting:
            self._count(worker, *self._waiting.pop(worker))
        if worker.turn():
            self._waiting[worker] = _processor_seconds(worker), time.monotonic()
        elif worker.ending and worker.ending.outcome is Outcome.INTERRUPTED:
            raise KeyboardInterrupt

    def _count(self, worker: Worker, used: float | None, since: float) -> None:
        """Adds what a worker did since it began to wait, unless that cannot be read."""
        now = _processor_seconds(worker)
        if used is not None and now is not None:
            before, waited = self._idle[worker]
            self._idle[worker] = before + now - used, waited + time.monotonic() - since


def _processor_seconds(worker: Worker) -> float | None:
    """None if it is gone, or the system does not say."""
    times = worker.pid and readable(lambda: psutil.Process(worker.pid).cpu_times())
    return float(times.user + times.system) if times else None
