"""The cause of a failed proof: a port and the oracle are watched, and known causes are tried.

All of it in float64, whatever the precision that failed: a mistake is in both, rounding in one.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import backends
from suite.causes import buffers, gradients, movements, operations, outputs
from suite.causes.difference import Difference, Explanation
from suite.causes.evidence import (
    FIRST,
    MOVED,
    Window,
    buffers as buffers_of,
    points as points_of,
    read_state,
    thinned,
    under,
    watched,
)
from suite.causes.families import FAMILIES
from suite.causes.gradients import Facts
from suite.causes.operations import Operation
from suite.causes.relations import padding, relation
from suite.records.events import Outcome
from suite.records.taps import Located
from suite.records.verdict import Verdict
from suite.session.process import Ending
from suite.worker.trace import steps_between
from tasks.task import Array, State, Task, Tree

Watch = Callable[..., tuple[Tree, Ending]]
"""``watch(choice, windows=, moved=)``: what a worker noted of a backend, and how it ended."""
NOTHING = "nothing known explains it"
CAUSE = "cause: "
WITHOUT = frozenset(
    {"dropout", "determinism", "frozen", "restore", "oracle", "central differences", "timed losses"}
)
"""Quantities that say themselves where to look."""
STARTS = "check how the port takes over its parameters: names, layouts, and what it draws itself"


class Explainer:
    """Finds causes for the verdicts on one task; ``watch`` runs the workers that it takes."""

    def __init__(self, task: Task, oracle: backends.Choice, watch: Watch):
        self._task, self._oracle, self._watch = task.verified(), oracle, watch
        self._notes: dict[tuple[backends.Choice, tuple[Window, ...]], Tree | str] = {}
        self._known: dict[backends.Choice, str] = {}
        """Causes that were found, by backend and mode."""

    def cause(self, verdict: Verdict, own: Tree, oracle: Tree) -> str | None:
        """Words on why a verdict failed, given the traces; None where they would say nothing new.

        KeyboardInterrupt if the user interrupts.
        """
        failed = [f for f in verdict.findings if not f.passed]
        if {f.quantity for f in failed} <= WITHOUT:
            return None
        choice = verdict.backend, verdict.mode
        if choice in self._known:  # from its verdict in another precision
            return self._known[choice]
        windows = (FIRST, *_later(verdict))
        of_oracle = choice[0] == self._oracle[0]
        reference = None if of_oracle else self._noted(self._oracle, (FIRST,))
        mine = self._noted(choice, windows)
        if isinstance(reference, str) or isinstance(mine, str):
            reason = reference if isinstance(reference, str) else mine
            return f"its cause was not looked for: {reason}"
        found = Case(self._task, mine, reference)
        allowed = self._task.envelopes[verdict.precision].gradient
        said = found.words(windows) or of_outputs(own, oracle, allowed) or _left(verdict)
        if said and said.startswith(CAUSE):
            self._known[choice] = said
        return said

    def _noted(self, choice: backends.Choice, windows: tuple[Window, ...]) -> Tree | str:
        """The notes on a backend, or why there are none."""
        if (choice, windows) not in self._notes:
            reference = self._notes.get((self._oracle, (FIRST,)))
            moved = reference if choice != self._oracle and isinstance(reference, dict) else None
            self._notes[choice, windows] = self._run(choice, windows, moved)
        return self._notes[choice, windows]

    def _run(
        self, choice: backends.Choice, windows: tuple[Window, ...], moved: Tree | None
    ) -> Tree | str:
        with tempfile.TemporaryDirectory() as folder:
            path = None
            if moved is not None:
                path = str(Path(folder) / "moved.npz")
                state = {n: a for n, a in moved.items() if n.startswith(f"{MOVED}/")}
                np.savez(path, allow_pickle=False, **state)
            notes, ending = self._watch(choice, windows=windows, moved=path)
        if ending.outcome is Outcome.INTERRUPTED:
            raise KeyboardInterrupt
        return notes if ending.outcome is Outcome.OK else str(ending.reason)


def _later(verdict: Verdict) -> tuple[Window, ...]:
    """The steps before the first whose loss is out of tolerance, or the last, behind ``FIRST``."""
    first = [f.where for f in verdict.findings if f.quantity == "loss" and not f.passed]
    step = verdict.steps
    if first and first[0].startswith("step "):
        step = int(first[0].removeprefix("step ")) - 1
    return ((max(FIRST[1], step - 3), step),) if step > FIRST[1] else ()


def with_operation(task: Task, verdict: Verdict, located: Located | None) -> Verdict:
    """The verdict with the cause in the operation in which it first differs, if that is known.

    What is known of gradients and the update goes before it, a relation between values before one
    between gradients.
    """
    if verdict.cause is None or located is None or located.phase not in ("forwards", "backwards"):
        return verdict
    said = cause_in_operation(task, located)
    if said is None or verdict.cause.startswith(CAUSE):
        return verdict
    return replace(verdict, cause=said)


def cause_in_operation(task: Task, located: Located) -> str | None:
    """The cause in an operation that adds error forwards, or the relation of its two values."""
    name, oracle = located.operation, located.oracle
    before: dict[str, Array] = {}
    for tap, (value, _) in oracle.taps.items():
        if tap == name:
            break
        before[tap] = value
    place = 0 if located.phase == "forwards" else 1
    own, reference = located.own.taps[name][place], oracle.taps[name][place]
    if own is None or reference is None:
        return None
    own, reference = own.astype(np.float64), reference.astype(np.float64)
    batch = _batch(task.narrow().verified(), oracle.step - 1)
    if located.phase == "forwards":
        op = Operation(name, own, reference, before, under(oracle.before, "params"), batch)
        if said := _said(operations.explanations(op, FAMILIES)):
            return said
    rounding = task.envelopes["float64"].gradient
    text = _at_padding(own, reference, batch, rounding) or relation(own, reference, rounding)
    what = name if place == 0 else f"the cotangent of {name}"
    return f"relation: {what}: {text}" if text else None


class Case:
    """The evidence on one port; without a ``reference`` for what is the oracle's own."""

    def __init__(self, task: Task, own: Tree, reference: Tree | None):
        self._task, self._own, self._reference = task, own, reference
        self._envelope = task.envelopes["float64"]
        self._initial = task.initial(task.verification_seed)

    def words(self, windows: Sequence[Window]) -> str | None:
        """The causes found, in the order in which a model computes; None if nothing differs."""
        said = self._starts() or [
            *(self._gradients() if self._reference else []),
            *(self._buffers() if self._reference else []),
            *self._updates(windows),
        ]
        said = said or self._together()
        known = [text for text in dict.fromkeys(said) if text != NOTHING]
        if not said:
            return None
        return "; ".join(known) or NOTHING

    def _starts(self) -> list[str]:
        """Other parameters from the beginning: then all else differs of itself."""
        state = read_state(self._own, "0/before")
        begin = _thin(self._initial)
        own, wanted = _leaves(state), _leaves(begin)
        off = Difference(own, {n: wanted[n] for n in own if n in wanted}, 1e-12).differing
        if not off:
            return []
        return [f"{CAUSE}the port does not begin with the task's {', '.join(off[:3])}: {STARTS}"]

    def _gradients(self) -> list[str]:
        assert self._reference
        points = points_of(self._own, self._reference, self._initial)
        allowed = self._envelope.gradient
        difference, found = gradients.explanations(points, self._facts(), allowed)
        if not difference.differing:
            alone = gradients.rounding_alone(points)
            return [f"{CAUSE}{_rounding(alone)}"] if alone else []
        return [_said(found) or _relation_of(difference) or NOTHING]

    def _buffers(self) -> list[str]:
        assert self._reference
        seen = buffers_of(self._own, self._reference)
        shapes = [a.shape for a in _batch(self._task, 0).values() if a.ndim]
        rows = {n for shape in shapes for n in (shape[0], math.prod(shape[:2]), math.prod(shape))}
        difference, found = buffers.explanations(seen, rows, self._envelope.state)
        if not found and not difference.differing:
            return []
        return [_said(found) or _relation_of(difference) or NOTHING]

    def _updates(self, windows: Sequence[Window]) -> list[str]:
        """The first window that differs: a memory that the state leaves out begins with it."""
        for window in windows:
            steps = watched(self._own, window)
            difference, found = movements.explanations(
                self._task.optimizer, steps, self._envelope.state
            )
            if difference.differing:
                return [_said(found) or NOTHING]
        return []

    def _together(self) -> list[str]:
        last = read_state(self._own, f"{FIRST[1] - 1}/after")
        chunk = read_state(self._own, "together")
        restored = _leaves(read_state(self._own, "restored"))
        if off := Difference(restored, _leaves(_thin(self._initial)), 1e-12).differing:
            return [f"{CAUSE}restore() does not take back {', '.join(off[:3])}"]
        if not Difference(_leaves(chunk), _leaves(last), self._envelope.state).differing:
            return []
        return [
            f"relation: {FIRST[1]} steps in one chunk, from the initial state that was restored, "
            "give another state than one by one. Look for what is done once a call and not in "
            "every step, such as a scheduler's step, and for what restore() leaves"
        ]

    def _facts(self) -> Facts:
        batch, config = _batch(self._task, 0), self._task.config
        constants: dict[str, Any] = {n: a.item() for n, a in batch.items() if a.ndim == 0}
        if is_dataclass(config):
            constants |= {f.name: getattr(config, f.name) for f in fields(config)}
        # an epsilon may have the value of a penalty, and would be named as one
        floats = {
            n: c for n, c in constants.items() if isinstance(c, float) and c and "epsilon" not in n
        }
        return Facts(floats, (batch, _batch(self._task, FIRST[1] - 1)))


def _batch(task: Task, step: int) -> Tree:
    (chunk,) = steps_between(task, task.verification_seed, step, step + 1)
    return {name: a[0] for name, a in chunk.items()}


def _at_padding(own: Array, reference: Array, batch: Tree, rounding: float) -> str | None:
    """The relation of values that are equal but at, or in sentences with, the padding of a batch,
    which is 0."""
    for name, ids in batch.items():
        if ids.ndim == 2 and ids.dtype.kind in "iu":
            if padding(own, reference, ids != 0, rounding):
                return f"it is equal but at the padding of {name}"
            if padding(own, reference, (ids != 0).all(axis=1), rounding):
                return f"it is equal but where {name} has padding: look at the mask"
    return None


def _thin(state: State) -> State:
    def thin(tree: Tree) -> Tree:
        return {name: thinned(name, a) for name, a in tree.items()}

    slots = {slot: thin(tree) for slot, tree in state.slots.items()}
    return State(thin(state.params), slots, thin(state.buffers), state.step)


def _leaves(state: State) -> dict[str, Array]:
    slots = {f"{s}/{leaf}": a for s, tree in state.slots.items() for leaf, a in tree.items()}
    return {**state.params, **state.buffers, **slots}


def _rounding(leaves: Sequence[str]) -> str:
    return (
        f"the gradient of {', '.join(leaves[:3])} is 0 and the port computes rounding, of which "
        "the optimiser makes whole steps: leave it out of training, as the oracle does"
    )


def _said(found: Sequence[Explanation]) -> str | None:
    """The cause; several where what was noted does not tell them apart."""
    if not found:
        return None
    said = ", or ".join(e.said for e in found[:MOST_NAMED])
    remedies = ". ".join(dict.fromkeys(e.remedy for e in found[:MOST_NAMED]))
    return f"{CAUSE}{said}: {remedies}"


MOST_NAMED = 3
"""Causes that are named at most, where what was noted does not tell them apart."""


def _relation_of(difference: Difference) -> str | None:
    """The relation that all results have that differ, or else the first of them that has one."""
    said = {
        name: text
        for name in difference.differing
        if (text := relation(difference.own[name], difference.reference[name], difference.allowed))
    }
    if not said:
        return None
    name, text = next(iter(said.items()))
    common = len(said) == len(difference.differing) > 1 and len(set(said.values())) == 1
    return f"relation: {'all that differ' if common else name.partition('/')[2]}: {text}"


def of_outputs(own: Tree, oracle: Tree, allowed: float) -> str | None:
    """The cause in outputs of evaluation from the initial state, where nothing else differs."""
    theirs = under(oracle, "prediction@0")
    for name, reference in theirs.items():
        mine = own.get(f"prediction@0/{name}")
        if mine is None or reference.dtype.kind != "f":
            continue
        said = _said(outputs.explanations(name, mine, reference, allowed))
        if said is None and (text := relation(mine, reference, allowed)):
            said = f"relation: {name}: {text}"
        if said:
            return said
    return None


def _left(verdict: Verdict) -> str | None:
    """Words where nothing that was watched differs."""
    if verdict.precision == "float64":
        return NOTHING if verdict.backend != verdict.oracle else None
    return "in float64 nothing differs: a matter of the precision it computes in"
