"""Locating a difference: single steps of a backend beside those of the oracle, in float64.

It runs two short workers beside those of the proof, so that it is done where a verdict is all that
is asked for, by ``tetragrad verify`` and ``suite.proof``, and not before timing.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import backends
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.records.taps import Located, Observation, read
from suite.records.verdict import Verdict
from suite.session.first_difference import Errors, errors, first_difference
from suite.session.jobs import EXACT, cell_of
from suite.session.process import Ending, Worker, launch_all
from suite.system.environment import at_once
from suite.system.revisions import HERE, Side
from tasks.task import Task

STEPS = (1, 2)
"""Steps that are always looked at: what is carried over shows in the second."""
ELSEWHERE = {"dropout", "determinism", "frozen", "restore"}
"""Quantities of a verdict that no single step shows."""


@dataclass(frozen=True)
class Search:
    """The result of locating a backend's first difference from another."""

    text: str
    """The operation, or that there is none."""
    located: bool = False
    rows: tuple[Errors, ...] = ()
    """The errors of every operation, of the first step that differs or else of the last."""
    first: Located | None = None
    """The operation, if there is one, with what was observed."""

    def of(self, verdict: Verdict, exact: Verdict | None) -> str:
        """The text for a failed verdict, given that of the same backend in float64."""
        if self.located or not self.rows:
            return self.text
        failed = next(finding for finding in verdict.findings if not finding.passed)
        if exact is not None and exact.verified:
            return f"{self.text}: it is in {verdict.precision} alone"
        if "prediction" in f"{failed.quantity} {failed.where}":
            return f"{self.text}: it is in evaluation, {failed.where}"
        return f"{self.text}: it is between steps, in training several at once"


def wanted(verdicts: Iterable[Verdict]) -> Mapping[backends.Choice, tuple[int, ...]]:
    """The backends of these verdicts that failed and can be searched, with the steps to look at.

    Beside the first ones, these are the first step whose loss differs and the one before it.
    """
    steps: dict[backends.Choice, set[int]] = {}
    for verdict in verdicts:
        failed = [f for f in verdict.findings if not f.passed and f.quantity not in ELSEWHERE]
        if verdict.outcome is Outcome.OK and failed:
            at = steps.setdefault((verdict.backend, verdict.mode), {*STEPS})
            for finding in failed:
                number = re.search(r"\bstep (\d+)", finding.where)
                if number and finding.quantity in ("loss", "anchor"):
                    at |= {max(int(number[1]) - 1, 1), int(number[1])}
    return {choice: tuple(sorted(at)) for choice, at in steps.items()}


def search(
    task: Task,
    device: str,
    asked: Mapping[backends.Choice, Sequence[int]],
    against: backends.Choice,
) -> Mapping[backends.Choice, Search]:
    """Searches each backend for its first difference ``against`` another, in steps from 1.

    KeyboardInterrupt if the user interrupts.
    """
    steps = tuple(sorted({step for own in asked.values() for step in own}))
    cells = {c: cell_of(task, c, EXACT, device) for c in asked}
    cells[against] = cell_of(task, against, EXACT, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        made = observe({c: (cell, asked.get(c, steps)) for c, cell in cells.items()}, Path(folder))
        return {c: compare(task, made[c], made[against], own) for c, own in asked.items()}


def observe(
    asked: Mapping[backends.Choice, tuple[Cell, Sequence[int]]], folder: Path, side: Side = HERE
) -> Mapping[backends.Choice, Path | Ending]:
    """Runs a worker of ``side`` for each: the file of its observations, or how it failed."""
    outputs = [folder / f"{name}-{mode}.npz" for name, mode in asked]
    workers = [
        Worker(cell, "observe", command=side.command, steps=tuple(steps), output=str(output))
        for (cell, steps), output in zip(asked.values(), outputs, strict=True)
    ]
    endings = launch_all(workers, at_once(1))
    return {
        choice: output if ending.outcome is Outcome.OK else ending
        for choice, output, ending in zip(asked, outputs, endings, strict=True)
    }


def compare(task: Task, own: Path | Ending, oracle: Path | Ending, steps: Sequence[int]) -> Search:
    """The search in files of observations."""
    for one in (oracle, own):
        if isinstance(one, Ending):
            return Search(f"not located, its steps cannot be observed: {one.outcome}: {one.reason}")
    assert isinstance(own, Path)
    assert isinstance(oracle, Path)
    rows: tuple[Errors, ...] = ()
    with np.load(own, allow_pickle=False) as mine, np.load(oracle, allow_pickle=False) as theirs:
        for step in steps:
            pair = read(mine, step), read(theirs, step)
            rows = tuple(errors(*pair))
            if located := first_difference(*pair, task.envelopes[EXACT]):
                return Search(f"error begins at {located}{_hint(*pair)}", True, rows, located)
    numbers = ", ".join(map(str, steps))
    every = "every operation, gradient and state agrees"
    return Search(f"in steps {numbers}, each by itself and in float64, {every}", rows=rows)


def _hint(own: Observation, oracle: Observation) -> str:
    """Names what to do where the two have no operation in common but the loss."""
    if own.taps.keys() & oracle.taps.keys() != {"loss"}:
        return ""
    return "; no operation has a name in both: name some by tap(name, x) of backends.*.taps"
