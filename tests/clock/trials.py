"""How often the clock is right: ``python -m tests.clock.trials [DELAY] [TRIALS] [TASK] [BACKEND]``.

Times one backend against itself, the second of the two delayed by a share ``DELAY`` of its time,
``TRIALS`` times, and counts the intervals of the ratio that contain 1: nearly all without a delay,
and hardly any with one of 5%.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime

import backends
import tasks
from suite.records.cell import Cell
from suite.records.record import Record
from suite.records.timing import MedianInterval
from suite.session.race import Race
from tasks import datasets

LIMIT = 60.0


def quick_cell(name: str, backend: str) -> Cell:
    """A cell of the quick profile on one thread."""
    ((task, variant),) = tasks.choices(name)
    ((own, mode),) = backends.choices(backend)
    source, _ = datasets.resolve(tasks.DATASETS[task], "auto")
    return Cell(task=task, variant=variant, backend=own, mode=mode, profile="quick", data=source)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def trial(cell: Cell, delay: float) -> tuple[MedianInterval, int]:
    """The ratio of the second's speed to the first's, and after how many rounds."""
    records = [Record("trial", cell, now(), verified=True) for _ in range(2)]
    delayed = (sys.executable, "-m", "tests.clock.delayed_worker", str(delay))

    def job(record: Record) -> dict[str, object]:
        return {"command": delayed} if delay and record is records[1] else {}

    race = Race(records, 3600, LIMIT, lambda record, event: None, job)
    race.time()
    assert race.timing
    first, second = race.timing.contestants
    return race.timing.ratio(second.name, first.name), len(race.timing.samples)


def main() -> None:
    given = dict(enumerate(sys.argv[1:]))
    delay, trials = float(given.get(0, 0)), int(given.get(1, 20))
    name, backend = given.get(2, "fashion_mlp"), given.get(3, "numpy")
    cell = quick_cell(name, backend)
    holding = 0
    for number in range(trials):
        (middle, low, high), rounds = trial(replace(cell, seed=number), delay)
        holding += low <= 1 <= high
        print(f"{number:3} {middle:.4f} [{low:.4f}, {high:.4f}] {rounds} rounds", flush=True)
    told = f"{holding} of {trials} intervals contain 1"
    print(f"{name} in {cell.backend_label}, delay {delay:.0%}: {told}")


if __name__ == "__main__":
    main()
