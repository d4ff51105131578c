"""A fleet of a thousand nodes, simulated: ``python -m tests.fleet``.

Nodes, their failures and the clock are made up (``tests/simulated.py``); what hands out, retries
and leaves out is the fleet's own code. A comparison takes what it took in real records, the driver
what it takes here: ``--measure N`` keeps and sends N comparisons, ``--records FOLDER`` reads how
long those of a session took. Without them, figures of before are used.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from suite.asv_benchmarks import synthetic
from suite.fleet.dispatch import Dispatch, Work
from suite.fleet.home import Comparison, Results
from suite.fleet.loop import drive
from suite.records import record as records
from suite.records.cell import Cell, Conditions
from suite.records.events import Event
from suite.session.plan import Plan
from suite.tracking import tracker as tracking
from suite.tracking.tracker import Tracker
from tests.simulated import Cluster, Faults, Home

SECONDS = {
    "autoencoder:joint": 36.4,
    "fashion_mlp": 32.3,
    "fewshot:siamese": 62.3,
    "imdb_text:bow": 34.5,
    "lstm": 36.8,
    "transformer": 146.3,
}
"""Seconds of a comparison of four backends (smoke, real data), from the records of a session on
two processors."""
PREPARING = 60.0
"""Seconds to prepare a kind of machine for a task, about."""
CONTESTANTS = len(synthetic.RATES)
VARIES = 0.1
"""Relative standard deviation of a comparison's seconds: 95% lie within a fifth."""


class Cost(NamedTuple):
    """Processor seconds of the driver for a comparison: to keep its records, and to send them."""

    kept: float
    sent: float


COST = Cost(kept=0.04, sent=0.2)


@dataclass(frozen=True)
class Outcome:
    """A simulated session."""

    makespan: float
    ideal: float
    """Seconds, if nothing failed, nobody waited, and all nodes ended at once."""
    comparisons: int
    once: int
    twice: int
    given_up: int
    deaths: int
    lost: float
    """Part of the nodes' work that came to nothing."""
    left_out: int
    prepared: int
    load: float
    """Part of the makespan in which the driver works, were it to end with the nodes."""
    waiting: int
    """Comparisons that waited to be sent to MLflow, at most."""
    own: float
    """Seconds that the bookkeeping itself took here."""


class Quiet:
    """A reporter that says nothing."""

    def say(self, text: str) -> None: ...
    def busy(self, text: str) -> None: ...
    def cell_event(self, cell: Cell, event: Event, epochs: int) -> None: ...
    def cell_finished(self, record: records.Record) -> None: ...
    def cell_timed(self, record: records.Record) -> None: ...


def read_seconds(folder: Path) -> dict[str, float]:
    """Mean seconds of the comparisons whose records are in a session's folder, by task."""
    spans: dict[tuple[str, int], list[datetime]] = {}
    for path in sorted(folder.glob("*.json")):
        record = records.read(path)
        own = spans.setdefault((record.cell.task_label, record.cell.seed), [])
        own += [datetime.fromisoformat(at) for at in (record.created, record.ended or "")]
    took: dict[str, list[float]] = {}
    for (task, _), moments in spans.items():
        took.setdefault(task, []).append((max(moments) - min(moments)).total_seconds())
    return {task: sum(own) / len(own) for task, own in took.items()}


def simulate(nodes: int, count: int, faults: Faults, cost: Cost, seed: int = 0) -> Outcome:
    """A session of so many comparisons on so many nodes."""
    tasks = [*SECONDS]
    wanted = [Work(tasks[n % len(tasks)], n // len(tasks)) for n in range(count)]
    dice = random.Random(seed)

    def seconds(work: Work) -> float:
        mean = PREPARING if work.seed is None else SECONDS[work.task]
        return mean * max(0.5, dice.gauss(1, VARIES))

    cluster = Cluster([f"kind {n % 3}" for n in range(nodes)], seconds, faults, seed)
    dispatch, home = Dispatch(wanted), Home(cluster, *cost)
    begin = time.process_time()
    drive(dispatch, cluster, home, now=lambda: cluster.now)
    own = time.process_time() - begin
    home.close()
    ideal = sum(SECONDS[work.task] for work in wanted) / nodes
    return Outcome(
        makespan=cluster.now,
        ideal=ideal,
        comparisons=count,
        once=sum(times == 1 for times in home.taken.values()),
        twice=sum(times > 1 for times in home.taken.values()),
        given_up=len(dispatch.given_up),
        deaths=cluster.deaths,
        lost=cluster.lost / (ideal * nodes),
        left_out=len(dispatch.left_out),
        prepared=sum(home.prepared.values()),
        load=home.worked / cluster.now,
        waiting=home.most_waiting,
        own=own,
    )


def measure(count: int) -> Cost:
    """Keeps so many comparisons of four records of real size, and sends them, as a fleet does."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        answers = dict(_answers(count))
        comparisons = {
            work: Comparison(("fashion_mlp", None), work.seed or 0, tuple(r.cell for r in own))
            for work, own in answers.items()
        }
        tracker = Tracker(tracking.default_uri(results), results)
        tracker.experiments()  # makes the store
        plan = Plan((), (), Conditions(), range(count), "generated", 60, 0)
        home = Results(plan, "s", results, tracker, Quiet(), comparisons, {})
        begin = time.process_time()
        for work, own in answers.items():
            home.take("node", work, "kind", {_path(record): _content(record) for record in own})
        kept = time.process_time()
        home.close()
        return Cost((kept - begin) / count, (time.process_time() - kept) / count)


def _answers(count: int) -> Iterator[tuple[Work, list[records.Record]]]:
    for seed in range(count):
        own = [synthetic.record(place) for place in range(len(synthetic.RATES))]
        found = [replace(r, session="s", cell=replace(r.cell, seed=seed)) for r in own]
        yield Work("fashion_mlp", seed), found


def _path(record: records.Record) -> str:
    return f"records/s/{record.cell.label}.json"


def _content(record: records.Record) -> bytes:
    return json.dumps(asdict(record), indent=1).encode()


RARE = Faults(life=86_400, flaws=1e-3, late=0.1)
OFTEN = Faults(life=7_200, flaws=1e-2, late=0.1)


def scenes(cost: Cost) -> dict[str, tuple[Faults, Cost]]:
    """Failures, and what the driver's work costs."""
    kept = Cost(cost.kept, 0)
    return {
        "nothing fails, a driver without cost": (Faults(), Cost(0, 0)),
        "nothing fails": (Faults(), kept),
        "a node lives 24 h, 1 work of 1,000 fails": (RARE, kept),
        "a node lives 2 h, 1 work of 100 fails": (OFTEN, kept),
        "the same, and sent to MLflow meanwhile": (OFTEN, cost),
    }


HEAD = (
    *("scene", "makespan, min", "x ideal", "once", "twice", "given up", "nodes died"),
    *("left out", "work lost", "preparations", "driver busy", "waited for MLflow"),
)


def row(title: str, found: Outcome) -> tuple[str, ...]:
    """A line of the table."""
    return (
        *(title, f"{found.makespan / 60:.0f}", f"{found.makespan / found.ideal:.2f}"),
        *map(str, (found.once, found.twice, found.given_up, found.deaths, found.left_out)),
        *(f"{100 * found.lost:.1f}%", str(found.prepared), f"{100 * found.load:.0f}%"),
        str(found.waiting),
    )


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--comparisons", type=int, default=100_000)
    parser.add_argument("--measure", type=int, metavar="N", help="measure the driver's cost here")
    parser.add_argument("--records", type=Path, metavar="FOLDER", help="a session's records")
    asked = parser.parse_args()
    cost = measure(asked.measure) if asked.measure else COST
    if asked.records:
        SECONDS.clear()
        SECONDS.update(read_seconds(asked.records))
    print(f"{asked.nodes} nodes, {asked.comparisons} comparisons of {CONTESTANTS} cells")
    print(f"the driver's processor seconds for each: {cost.kept:.3f} kept, {cost.sent:.3f} sent\n")
    print("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
    own = 0.0
    for title, (faults, spent) in scenes(cost).items():
        found = simulate(asked.nodes, asked.comparisons, faults, spent)
        own = max(own, found.own)
        print("| " + " | ".join(row(title, found)) + " |")
    print(f"\nthe bookkeeping itself took {own:.1f} s of a processor at most")


if __name__ == "__main__":
    main()
