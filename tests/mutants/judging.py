"""Judging mutants: each is planted in a copy of the source, whose verdict must then be another."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import backends
import tasks
from suite.records.events import Outcome
from suite.records.verdict import Verdict, verdict_from
from suite.session.verifier import Verifier
from suite.system.git import ROOT
from suite.system.revisions import Side
from tasks.task import Precision, Task
from tests.mutants.mutant import Mutant

PACKAGES = ("suite", "backends", "tasks")
TIMEOUT = 1800.0
"""Seconds that a worker may take: the machine may be shared."""
RUN = "run"
"""Stands for the precision of a verdict that ``tetragrad run`` gave."""
Fate = Literal["caught", "missed", "not tested", "broken"]
"""``broken``: the mutant crashes, or the source without it is not verified; nothing follows."""


@dataclass(frozen=True)
class Judgement:
    """Fate of a mutant in one precision."""

    fate: Fate
    by: tuple[str, ...] = ()
    """The quantities out of tolerance."""
    message: str = ""
    named: bool = False
    """True if the message names the place."""


@dataclass(frozen=True)
class Result:
    """Fate of a mutant, by precision or ``RUN``."""

    mutant: Mutant
    judgements: Mapping[str, Judgement]

    @property
    def fate(self) -> Fate:
        """Caught if any precision caught it."""
        fates = [judgement.fate for judgement in self.judgements.values()]
        order: tuple[Fate, ...] = ("caught", "missed", "broken", "not tested")
        return next(fate for fate in order if fate in fates)

    @property
    def named(self) -> bool:
        """Tells if a message that caught it names the place."""
        return any(j.fate == "caught" and j.named for j in self.judgements.values())


class Bench:
    """A copy of the source in which the mutants of one task are planted, one after the other.

    The oracle's trace is made once, from the source as it is; a mutant of the oracle gets its own.
    """

    def __init__(self, task: Task, tree: Path, precisions: Sequence[Precision]):
        self._task, self._tree, self._precisions = task, tree, precisions
        self._verifier = self._new_verifier()
        self._controls: dict[tuple[str, str], Mapping[str, Verdict]] = {}

    def judge(self, mutant: Mutant) -> Result:
        """Plants the mutant, asks for verdicts, takes it out again."""
        if reason := backends.load(mutant.backend).available():
            return Result(mutant, {RUN: Judgement("not tested", message=reason)})
        controls = self._control(mutant)
        with mutant.planted(self._tree):
            of_oracle = mutant.backend == Task.oracle
            verdicts = self._verdicts(mutant, self._new_verifier() if of_oracle else self._verifier)
        return Result(mutant, {p: judgement(mutant, v, controls[p]) for p, v in verdicts.items()})

    def _control(self, mutant: Mutant) -> Mapping[str, Verdict]:
        """Verdicts on the source as it is: by a false alarm every mutant would be caught."""
        key = mutant.backend, mutant.command
        if key not in self._controls:
            self._controls[key] = self._verdicts(mutant, self._verifier)
        return self._controls[key]

    def _new_verifier(self) -> Verifier:
        side = Side("the source with a mistake", self._tree)
        return Verifier(self._task, "cpu", 1, TIMEOUT, side=side)

    def _verdicts(self, mutant: Mutant, verifier: Verifier) -> Mapping[str, Verdict]:
        if mutant.command == "run":
            return {RUN: self._verdict_of_run(mutant.backend)}
        (choice,) = backends.choices(mutant.backend)
        verdicts = verifier.verify([(choice, precision) for precision in self._precisions])
        return {verdict.precision: verdict for verdict in verdicts}

    def _verdict_of_run(self, backend: str) -> Verdict:
        """The verdict of ``tetragrad run`` on the backend after it has timed it."""
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [
                    *(sys.executable, "-P", "-m", "suite.cli", "run", "--task", self._task.label),
                    *("--backend", backend, "--profile", "smoke", "--data", "generated"),
                    *("--timing-limit", "1", "--tracking-uri", "none", "--json"),
                ],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                env={**os.environ, "PYTHONPATH": str(self._tree)},
            )
            if not done.stdout:
                raise RuntimeError(f"`tetragrad run` printed no document: {done.stderr[-2000:]}")
            (cell,) = json.loads(done.stdout)["cells"]
            record = json.loads((Path(folder) / cell["record"]).read_text())
        return verdict_from(record["equivalence"])


def judgement(mutant: Mutant, verdict: Verdict, control: Verdict) -> Judgement:
    """Judges a mutant by a verdict, given that on the source without it."""
    message = verdict.explanation or ""
    if not verdict.tested:
        return Judgement("not tested", message=message)
    if not control.verified:
        return Judgement("broken", message=f"without the mistake too: {control.explanation}")
    if verdict.verified:
        return Judgement("missed")
    named = re.search(mutant.place, message) is not None
    if verdict.outcome is not Outcome.OK:
        refused = mutant.crashes and verdict.outcome is Outcome.CRASHED
        return Judgement("caught" if refused else "broken", (verdict.outcome,), message, named)
    by = tuple(finding.quantity for finding in verdict.findings if not finding.passed)
    return Judgement("caught", by, message, named)


def judge_all(mutants: Sequence[Mutant], precisions: Sequence[Precision]) -> Iterator[Result]:
    """The results one by one, task by task, on generated data."""
    for label in dict.fromkeys(mutant.task for mutant in mutants):
        ((name, variant),) = tasks.choices(label)
        task = tasks.load(name, "full", "generated", variant)
        with source_copy() as tree:
            bench = Bench(task, tree, precisions)
            yield from (bench.judge(mutant) for mutant in mutants if mutant.task == label)


@contextmanager
def source_copy() -> Iterator[Path]:
    """A copy of the packages, as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="tetragrad-mutants-") as folder:
        for package in PACKAGES:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, Path(folder) / package, ignore=ignored)
        yield Path(folder)
