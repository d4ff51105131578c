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
from suite.records.events import Outcome
from suite.records.taps import Located, Observation, read
from suite.records.verdict import Verdict
from suite.session.first_difference import Errors, errors, first_difference
from suite.session.process import Ending, Worker, launch_all
from suite.session.verifier import EXACT, cell_of
from suite.system.environment import at_once
from suite.system.revisions import HERE, Side
from tasks.task import Task

STEPS = (1, 2)
"""Steps that are always looked at: what is carried over shows in the second."""
ELSEWHERE = {"dropout", "determinism"}
"""Quantities of a verdict that no single step shows."""


@dataclass(frozen=True)
class Search:
    """The result of locating a backend's first difference from another."""

    text: str
    """The operation, or that there is none."""
    rows: tuple[Errors, ...] = ()
    """The errors of every operation, of the first step that differs or else of the last."""
    located: Located | None = None
    """The operation, if there is one, with what was observed."""


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
                number = re.fullmatch(r"step (\d+)", finding.where)
                if number and finding.quantity == "loss":
                    at |= {max(int(number[1]) - 1, 1), int(number[1])}
    return {choice: tuple(sorted(at)) for choice, at in steps.items()}


def search(
    task: Task,
    device: str,
    asked: Mapping[backends.Choice, Sequence[int]],
    against: backends.Choice,
    timeout: float | None = None,
    side: Side = HERE,
) -> Mapping[backends.Choice, Search]:
    """Searches each backend for its first difference ``against`` another, in steps from 1.

    The sources are those of ``side``. KeyboardInterrupt if the user interrupts.
    """
    every = {against: tuple(sorted({step for steps in asked.values() for step in steps})), **asked}
    with tempfile.TemporaryDirectory() as folder:
        outputs = {choice: Path(folder) / f"{n}.npz" for n, choice in enumerate(every)}
        workers = [
            Worker(
                cell_of(task, choice, EXACT, "cpu" if choice == against else device),
                "observe",
                timeout=timeout,
                command=side.command,
                steps=steps,
                output=str(outputs[choice]),
            )
            for choice, steps in every.items()
        ]
        endings = dict(zip(every, launch_all(workers, at_once(1)), strict=True))
        return {
            choice: _failed(choice, endings, against)
            or _compared(task, outputs[choice], outputs[against], steps, against)
            for choice, steps in asked.items()
        }


def _failed(
    choice: backends.Choice, endings: Mapping[backends.Choice, Ending], against: backends.Choice
) -> Search | None:
    for one in (choice, against):
        if endings[one].outcome is not Outcome.OK:
            why = f"{endings[one].outcome}: {endings[one].reason}"
            return Search(f"not located: the steps of {one[0]} could not be observed ({why})")
    return None


def _compared(
    task: Task, own: Path, oracle: Path, steps: Sequence[int], against: backends.Choice
) -> Search:
    rows: tuple[Errors, ...] = ()
    with np.load(own, allow_pickle=False) as mine, np.load(oracle, allow_pickle=False) as theirs:
        for step in steps:
            pair = read(mine, step), read(theirs, step)
            rows = tuple(errors(*pair))
            if located := first_difference(*pair, task.envelopes[EXACT]):
                return Search(f"first, {located}{_hint(*pair)}", rows, located)
    numbers = " and ".join(map(str, steps))
    return Search(
        f"not in single steps: steps {numbers}, each by itself and in float64, agree with "
        f"{against[0]} in every operation, gradient and state",
        rows,
    )


def _hint(own: Observation, oracle: Observation) -> str:
    """Names what to do where the two have no operation in common but the loss."""
    if own.taps.keys() & oracle.taps.keys() != {"loss"}:
        return ""
    return "; no operation has the same name in both: name some by tap(name, x), backends/*/taps.py"
