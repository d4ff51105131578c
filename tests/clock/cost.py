"""Cost of the suite: ``python -m tests.clock.cost [TASK] [BACKEND ...]``.

First the train time inside the suite as a multiple of a bare loop's over the same program, chunk by
chunk in turns; then how much of a cell's wall time, outside import, build and compile, is training
and evaluation. Full profile, one thread.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import Any

import backends
import tasks
from suite.records.cell import Cell
from suite.records.events import ChunkTimed, ChunkTrained, Event, Finished
from suite.records.statistics import median_interval
from suite.session.process import WORKER, Worker
from suite.session.turns import Turns
from tasks import datasets

BARE = (sys.executable, "-m", "tests.clock.bare_worker")
ROUNDS = 200
OWN = ("import", "build", "compile")
WORK = ("train", "evaluate")


def against_a_bare_loop(cell: Cell) -> tuple[float, float, float]:
    """Median ratio of the seconds of a chunk, with its 95% interval."""
    seconds: list[list[float]] = [[], []]

    def heard(number: int) -> Any:
        def on_event(event: Event) -> None:
            if isinstance(event, ChunkTrained | ChunkTimed):
                seconds[number].append(event.seconds)

        return on_event

    with ExitStack() as stack:
        workers = [
            stack.enter_context(Worker(cell, "train", heard(number), command=command))
            for number, command in enumerate((WORKER, BARE))
        ]
        turns = Turns(workers, seed=0)
        turns.begin()
        while len(turns.alive) == 2 and min(map(len, seconds)) < ROUNDS:
            turns.round(turns.alive)
    ratios = [inside / bare for inside, bare in zip(*seconds, strict=False)]
    return median_interval(ratios[5:])


def share_of_work(cell: Cell) -> tuple[float, float]:
    """Share of the work in a lone cell's wall time outside ``OWN``; and that time [s]."""
    phases: dict[str, float] = {}

    def on_event(event: Event) -> None:
        if isinstance(event, Finished):
            phases.update(event.phases)

    begin = time.monotonic()
    with Worker(cell, "train", on_event) as worker:
        while not phases and worker.turn():
            pass
        wall = time.monotonic() - begin
    rest = wall - sum(phases[name] for name in OWN)
    return sum(phases[name] for name in WORK) / rest, rest


def main() -> None:
    name, *wanted = sys.argv[1:] or ["fashion_mlp"]
    ((task, variant),) = tasks.choices(name)
    source, _ = datasets.resolve(tasks.DATASETS[task], "auto")
    for own, mode in backends.chosen(wanted):
        cell = Cell(task=task, variant=variant, backend=own, mode=mode, profile="full", data=source)
        middle, low, high = against_a_bare_loop(cell)
        print(f"{name} in {own}:{mode}: {middle:.4f} [{low:.4f}, {high:.4f}] of a bare loop's time")
        share, seconds = share_of_work(cell)
        print(f"  training and evaluation are {share:.1%} of {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
