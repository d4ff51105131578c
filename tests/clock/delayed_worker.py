"""A worker whose training takes longer by the share that is its first argument."""

from __future__ import annotations

import sys
import time
from typing import Any

from suite.worker import main as worker, training


class Delayed:
    """A program that does nothing for ``share`` of the time that it takes to train."""

    def __init__(self, program: Any, share: float):
        self._program, self._share = program, share

    def __getattr__(self, name: str) -> Any:
        return getattr(self._program, name)

    def train(self, placed: Any) -> Any:
        begin = time.perf_counter()
        losses = self._program.train(placed)
        end = time.perf_counter()
        while time.perf_counter() < end + self._share * (end - begin):
            pass
        return losses


def main() -> None:
    share = float(sys.argv.pop(1))

    class Training(training.Training):
        def __init__(self, task: Any, program: Any, *more: Any) -> None:
            super().__init__(task, Delayed(program, share), *more)

    vars(worker)["Training"] = Training
    worker.main()


if __name__ == "__main__":
    main()
