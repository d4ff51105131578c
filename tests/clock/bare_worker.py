"""A worker whose programs are driven by a bare loop, which neither checks nor keeps anything."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from typing import Any

from suite.records.events import ChunkTimed
from suite.worker import main as worker, training


class BareTraining(training.Training):
    """Clocks ``Program.train`` alone, by hand; there is no evaluation."""

    def run(self, initial: Any) -> None:
        self._warm_up()
        self._begin(initial)

    def _train_on(self, epochs: Iterable[int]) -> None:
        for epoch in itertools.count():
            for chunk in self._task.chunks("train", self._seed, epoch):
                if not self._turn():
                    return
                placed = self._program.place(chunk)
                begin = time.perf_counter()
                self._program.train(placed)
                seconds = time.perf_counter() - begin
                self._send(ChunkTimed(self._task.samples(chunk), 0, seconds))


if __name__ == "__main__":
    vars(worker)["Training"] = BareTraining
    worker.main()
