"""Measures what the proof reaches: ``python -m tests.reach [TASK ...] [--backend NAME]``.

Line and branch coverage of ``backends/*/`` by the jobs of ``tetragrad verify`` alone, in float64,
on generated data. Without names: every task in every variant but ``transformer:base``, which is the
transformer with other constants, and some choices of ``fashion_mlp``. One process for each backend
does its jobs one after the other: the first ``STEPS`` steps of the proof, of tasks of the smallest
profile, so that the whole proof reaches this and may reach more. Lists what is not reached; exit
code 1 if that is more than 2% of the lines of a file that holds a model or its layers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import backends
import tasks
from suite.records.events import Outcome
from suite.session.jobs import EXACT, cell_of
from suite.system.environment import worker_environment
from suite.system.git import ROOT
from suite.worker import main as worker
from tasks.task import Task
from tests.choices import TOGETHER, VALUES
from tests.mutants.warm import QUICK

STEPS = 9
"""The LSTM's gradients are clipped in the last of them, see ``tasks.lstm``."""
NO_MODEL = ("__init__", "arrays", "scatter", "graphs", "engine", "central_differences", "taps")
"""Files of what is around models: devices, modes and memory, of which one machine has one, and what
is asked only where a verdict fails."""
OPTIONS: tuple[Mapping[str, str], ...] = (
    *({"activation": name} for name in VALUES["activation"]),
    *({"optimizer": name, "decay": "cosine"} for name in VALUES["optimizer"]),
    *TOGETHER,
)
"""Choices of ``fashion_mlp`` that are looked at: ``verify --set``."""
ENOUGH = 98.0
"""Percent of the lines of a file."""
SETTINGS = """\
[run]
branch = true
parallel = true
source = {root}/backends
data_file = {folder}/data
[report]
exclude_also =
    case unknown:
    def _canonical
"""
"""Left out: cases that types exclude, and layouts of taps, asked for where a verdict fails."""


def main() -> int:
    """Measures, and prints a line a file; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.reach", description=__doc__)
    parser.add_argument("tasks", nargs="*")
    parser.add_argument("--backend", action="append", choices=backends.NAMES)
    parser.add_argument("--work", choices=backends.NAMES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        prove(_tasks(asked.tasks), asked.work)
        return 0
    names = asked.backend or backends.NAMES
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "coveragerc"
        settings.write_text(SETTINGS.format(root=ROOT, folder=folder))
        for name in names:
            _run(name, asked.tasks, settings)
        files = _measured(settings, Path(folder) / "coverage.json")
    own = {p: f for p, f in sorted(files.items()) if Path(p).parent.name in names}
    print("\n".join(line(path, file) for path, file in own.items()))
    few = [p for p, f in own.items() if Path(p).stem not in NO_MODEL and reached(f) < ENOUGH]
    print(f"less than {ENOUGH:g}% of the lines: {', '.join(few) or 'no model or layer file'}")
    return 1 if few else 0


def _run(name: str, labels: Sequence[str], settings: Path) -> None:
    """Has a backend's jobs done by a process of its own, under coverage.py."""
    measured = ("-m", "coverage", "run", f"--rcfile={settings}", "-m", "tests.reach")
    own = worker_environment(name, "cpu", 1)
    subprocess.run(
        [sys.executable, "-P", "-W", "ignore", *measured, "--work", name, *labels],
        check=True,
        cwd=ROOT,
        env={**own, **QUICK, "PYTHONPATH": str(ROOT)},
    )


def _tasks(labels: Sequence[str]) -> Iterator[Task]:
    for name, variant in tasks.chosen(labels or [tasks.ALL]):
        if labels or variant != "base":
            yield tasks.load(name, "smoke", "generated", variant)
    for options in () if labels else OPTIONS:
        yield tasks.load("fashion_mlp", "smoke", "generated", None, options)


def prove(chosen: Iterator[Task], name: str) -> None:
    """Does the jobs of the verdicts on these tasks in a backend. RuntimeError if one fails."""
    with tempfile.TemporaryDirectory() as folder:
        for task in chosen:
            for job in _jobs(task, name):
                asked = {**job, "output": str(Path(folder) / "output.npz")}
                ended = worker._done(asked, lambda event: None)
                print(f"{task.label} in {name}: {job['kind']}: {ended.outcome}", flush=True)
                if ended.outcome is not Outcome.OK:
                    raise RuntimeError(f"what fails may not reach all that it would: {ended}")


def _jobs(task: Task, name: str) -> Iterator[Mapping[str, Any]]:
    """The jobs of a verdict, in a few steps of the proof.

    Without central differences, which take most of the time and reach nothing more of a model.
    """
    chunks = list(itertools.islice(task.verification_chunks(task.verification_seed), STEPS))
    steps = sum(len(next(iter(chunk.values()))) for chunk in chunks)
    cell = asdict(cell_of(task, backends.choices(name)[0], EXACT, "cpu"))
    yield {"kind": "trace", "cell": cell, "ends": (min(steps, STEPS),)}
    if task.dropouts(chunks[0]):
        yield {"kind": "dropout", "cell": cell}


def _measured(settings: Path, report: Path) -> Mapping[str, Any]:
    """The findings of coverage.py on each file."""
    program = (sys.executable, "-m", "coverage")
    for command in (("combine", "--quiet"), ("json", "--quiet", "-o", str(report))):
        rcfile = f"--rcfile={settings}"
        subprocess.run([*program, command[0], rcfile, *command[1:]], check=True, cwd=ROOT)
    files: Mapping[str, Any] = json.loads(report.read_text())["files"]
    return files


def reached(file: Mapping[str, Any]) -> float:
    """Percent of the lines of a file."""
    summary = file["summary"]
    return 100 * float(summary["covered_lines"]) / (summary["num_statements"] or 1)


def line(path: str, file: Mapping[str, Any]) -> str:
    """The share that is reached of a file, and which lines and branches are not."""
    summary = file["summary"]
    branches = f"{summary['covered_branches']} of {summary['num_branches']}"
    told = f"{reached(file):6.1f}% of lines, {branches} branches: {path}"
    missed = [str(number) for number in file["missing_lines"]]
    told += f"; lines {', '.join(missed)}" if missed else ""
    ways = [f"{a}->{b}" for a, b in file["missing_branches"] if abs(b) not in file["missing_lines"]]
    return told + (f"; branches {', '.join(ways)}" if ways else "")


if __name__ == "__main__":
    raise SystemExit(main())
