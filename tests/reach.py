"""Measures what the proof reaches: ``python -m tests.reach [TASK ...] [--backend NAME]``.

Line and branch coverage of ``backends/*/`` by the jobs of ``tetragrad verify`` alone, in float64,
on generated data. Without names: every task in every variant but ``transformer:base``, which is the
transformer with other constants, and some choices of ``fashion_mlp``. Warm processes do the jobs,
see ``tests.mutants.warm``. Lists what is not reached; exit code 1 if that is more than 2% of the
lines of a file that holds a model or its layers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import backends
import tasks
from suite.session.verifier import EXACT
from suite.system.git import ROOT
from tasks.task import Task
from tests.choices import TOGETHER, VALUES
from tests.mutants.judging import Bench, Proof
from tests.mutants.kept import Kept

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
patch = fork, _exit
"""


def main() -> int:
    """Measures, and prints a line a file; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.reach", description=__doc__)
    parser.add_argument("tasks", nargs="*")
    parser.add_argument("--backend", action="append", choices=backends.NAMES)
    asked = parser.parse_args()
    names = asked.backend or backends.NAMES
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "coveragerc"
        settings.write_text(SETTINGS.format(root=ROOT, folder=folder))
        os.environ["COVERAGE_PROCESS_START"] = str(settings)
        prove(list(_tasks(asked.tasks)), names)
        del os.environ["COVERAGE_PROCESS_START"]
        files = _measured(settings, Path(folder) / "coverage.json")
    own = {p: f for p, f in sorted(files.items()) if Path(p).parent.name in names}
    print("\n".join(line(path, file) for path, file in own.items()))
    few = [p for p, f in own.items() if Path(p).stem not in NO_MODEL and reached(f) < ENOUGH]
    print(f"less than {ENOUGH:g}% of the lines: {', '.join(few) or 'no model or layer file'}")
    return 1 if few else 0


def _tasks(labels: Sequence[str]) -> Iterator[Task]:
    for name, variant in tasks.chosen(labels or [tasks.ALL]):
        if labels or variant != "base":
            yield tasks.load(name, "full", "generated", variant)
    for options in () if labels else OPTIONS:
        yield tasks.load("fashion_mlp", "full", "generated", None, options)


def prove(chosen: Sequence[Task], names: Sequence[str]) -> None:
    """Does the jobs of the verdicts on these tasks in these backends. RuntimeError if one fails."""
    with closing(Bench(ROOT, [EXACT], Kept(None))) as bench:
        for task in chosen:
            choices = [backends.choices(backend)[0] for backend in names]
            for verdict in Proof(task, bench).verify([(choice, EXACT) for choice in choices]):
                print(f"{verdict.task} in {verdict.backend_label}: {verdict.explanation or 'same'}")
                if verdict.tested and not verdict.verified:
                    raise RuntimeError("what fails may not reach all that it would")


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
