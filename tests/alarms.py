"""Counts false alarms of the proof: ``python -m tests.alarms [TASK ...] [--seeds N]``.

The verdict rests on one seed for each task, chosen to keep clear of corners (``tests.seeds``). Here
right programs are held against the oracle from other initial states and orders of the data, in
float64 and float32, as ``tetragrad verify`` does it. Anchors are left out, which are of one seed;
so are central differences, and the statistics of dropout, which state their rate of false alarms.
One process for each backend builds a program once for a task and precision, and restores it for
every seed. A seed is at a corner if the oracle fails too when it is moved by roundings alone: what
fails there is no false alarm. Exit code 1 if there is one.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import backends
import tasks
from backends import numpy as numpy_backend
from suite.records.verdict import PRECISIONS, Deviation
from suite.session.equivalence import compare, unrestored, unsteady
from suite.session.jobs import EXACT, cell_of
from suite.system.environment import worker_environment
from suite.system.git import ROOT
from suite.worker import main as worker
from suite.worker.clock import Clock
from suite.worker.trace import trace
from tasks.task import Envelope, Precision, Task, Tree, dtype_of
from tests.seeds import shares

DRAWS = 12
"""Roundings that are tried: a corner may be met on one side alone."""
FIRST = 100
"""The first seed: no verification seed is as large."""


def main() -> int:
    """Makes the traces, and prints a line for each task and kind of data; the exit code."""
    asked = _arguments()
    chosen = [
        label
        for name, variant in tasks.chosen(asked.tasks or [tasks.ALL])
        if asked.tasks or variant != "base"
        for label in [name if variant is None else f"{name}:{variant}"]
    ]
    seeds = range(FIRST, FIRST + asked.seeds)
    if asked.work:
        write(chosen, asked.data, asked.work, seeds, asked.folder)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        names = asked.backend or backends.NAMES
        for name in dict.fromkeys([Task.oracle, *names]):
            began = time.monotonic()
            _run(name, chosen, asked, folder)
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
        fates = Counter(
            fate
            for task in _tasks(chosen, asked.data)
            for fate in judged(task, names, seeds, Path(folder))
        )
    print(", ".join(f"{count} {fate}" for fate, count in fates.items()))
    return 1 if fates["false alarm"] else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.alarms", description=__doc__)
    parser.add_argument("tasks", nargs="*")
    parser.add_argument("--backend", action="append", choices=backends.NAMES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", default="auto", choices=("auto", "real", "generated"))
    parser.add_argument("--work", choices=backends.NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _run(name: str, chosen: Sequence[str], asked: argparse.Namespace, folder: str) -> None:
    """Has a backend's traces made by a process of its own."""
    subprocess.run(
        [
            *(sys.executable, "-P", "-W", "ignore", "-m", "tests.alarms", *chosen),
            *("--data", asked.data, "--seeds", str(asked.seeds)),
            *("--work", name, "--folder", folder),
        ],
        check=True,
        cwd=ROOT,
        env={**worker_environment(name, "cpu", 1), "PYTHONPATH": str(ROOT)},
    )


def _tasks(labels: Sequence[str], data: str) -> Iterator[Task]:
    for name, variant in tasks.chosen(labels):
        source, _ = tasks.resolve(name, data)
        yield tasks.load(name, "full", source, variant)


def write(labels: Sequence[str], data: str, name: str, seeds: range, folder: Path) -> None:
    """Writes a backend's traces to ``folder``, one file for each task, precision and seed."""
    for plain in _tasks(labels, data):
        for precision in PRECISIONS:
            choice = backends.choices(name)[0]
            module = worker._configure(cell_of(plain, choice, precision, "cpu"), Clock())
            task, program = plain.verified(), None
            steps = {envelope.steps for envelope in task.envelopes.values()}
            is_oracle = (name, precision) == (task.oracle, EXACT)
            ends = sorted(steps) if is_oracle else [task.envelopes[precision].steps]
            for seed in seeds:
                initial = task.initial(seed).astype(dtype_of(precision))
                program = program or module.build(task, initial, None)
                program.restore(initial)
                found = trace(task, program, seed, ends)
                np.savez(_file(folder, plain, name, precision, seed), allow_pickle=False, **found)


def _file(folder: Path, task: Task, name: str, precision: Precision, seed: int) -> Path:
    return folder / f"{task.label.replace(':', '-')}-{name}-{precision}-{seed}.npz"


def judged(task: Task, names: Sequence[str], seeds: range, folder: Path) -> Iterator[str]:
    """Yields the fate of each trace: ``same``, ``corner`` or ``false alarm``; prints failures."""
    worst = dict.fromkeys(PRECISIONS, 0.0)
    for seed in seeds:
        oracle = _read(_file(folder, task, task.oracle, EXACT, seed))
        for name, precision in itertools.product(names, PRECISIONS):
            own = _read(_file(folder, task, name, precision, seed))
            findings = _findings(own, oracle, name, task.envelopes[precision])
            failed = "; ".join(str(finding) for finding in findings if not finding.passed)
            if not failed:
                worst[precision] = max(worst[precision], *map(_share, findings))
                yield "same"
                continue
            at_corner = precision != EXACT and _corner(task, seed)
            fate = "corner" if at_corner else "false alarm"
            print(f"{task.label} seed {seed} {name} {precision}: {fate}: {failed}", flush=True)
            yield fate
    told = ", ".join(f"{precision} {share:.2g}" for precision, share in worst.items())
    print(f"{task.label} {task.provenance.source}: largest error of what is allowed: {told}")


def _findings(own: Tree, oracle: Tree, name: str, allowed: Envelope) -> tuple[Deviation, ...]:
    return (
        *compare(own, oracle, allowed),
        *unsteady(own, name, allowed),
        *unrestored(own, name, allowed),
    )


@functools.cache
def _corner(task: Task, seed: int) -> bool:
    numpy_backend.configure("cpu", 1, EXACT)
    ((_, share, _),) = shares(task.verified(), range(seed, seed + 1), DRAWS)
    return share >= 1


def _read(path: Path) -> Tree:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _share(finding: Deviation) -> float:
    """The error as a part of what is allowed."""
    return (finding.error or 0.0) / finding.tolerance if finding.tolerance else 0.0


if __name__ == "__main__":
    raise SystemExit(main())
