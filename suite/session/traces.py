"""Where two environments first differ: the step and the leaf, from traces of every step."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import tasks
from suite.records.cell import Cell
from suite.session.equivalence import compare, relative_error
from suite.session.jobs import read_trace
from suite.session.process import Ending, launch
from suite.system.revisions import Side
from tasks.task import Array, Envelope, Task, Tree


@dataclass(frozen=True)
class Difference:
    """The first difference between two traces."""

    place: str
    """The step and the leaf: ``step 14, first in output.kernel``."""
    error: float
    """Relative to the largest entry of that leaf."""
    beyond: str | None
    """The first quantity that differs by more than two right programs may; None if none does."""

    def __str__(self) -> str:
        return f"losses differ from {self.place}"


class Traces:
    """Traces of one cell in several environments, each of the steps of the proof in its precision.

    Their batches are those of the proof, whose seed keeps clear of the model's corners, with
    dropout by masks: what differs is computed otherwise. ``timeout`` [s] bounds each.
    """

    def __init__(self, cell: Cell, timeout: float | None):
        options = tasks.of_the_model(cell.task, cell.options)
        self.task: Task = tasks.load(cell.task, "full", cell.data, cell.variant, options)
        self._envelope = self.task.envelopes[cell.precision]
        self._timeout = timeout
        self._cell = replace(
            cell,
            seed=self.task.verification_seed,
            profile=self.task.profile,
            options=dict(self.task.options),
            early_stopping=None,
        )

    def of(self, side: Side) -> tuple[Tree, Ending]:
        """The trace of one environment, empty if its worker did not end well."""
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "trace.npz"
            ends = list(range(1, self._envelope.steps + 1))
            ending = launch(
                *(self._cell, "trace"),
                timeout=self._timeout,
                command=side.command,
                ends=ends,
                output=str(output),
            )
            return read_trace(output, ending)

    def difference(self, old: Tree, new: Tree) -> Difference | None:
        """The first difference of two traces; None if they are the same to the bit."""
        beyond = [d for d in compare(new, old, doubled(self._envelope)) if not d.passed]
        for place, keys in _stages(old, self._envelope.steps):
            errors = {name: error for name, error in _errors(old, new, keys) if error}
            if errors:
                worst = max(errors, key=errors.__getitem__)
                more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
                said = f"{place}, first in {worst}{more}"
                return Difference(said, errors[worst], str(beyond[0]) if beyond else None)
        return None


def doubled(envelope: Envelope) -> Envelope:
    """Twice as much as an envelope allows: each of two may be as far from the oracle."""
    loss = envelope.loss
    return replace(
        envelope,
        loss=tuple((end, 2 * a) for end, a in loss) if isinstance(loss, tuple) else 2 * loss,
        gradient=2 * envelope.gradient,
        state=2 * envelope.state,
        prediction=2 * envelope.prediction_tolerance,
    )


def _stages(trace: Tree, steps: int) -> Iterator[tuple[str, dict[str, tuple[str, int | None]]]]:
    """The quantities of a trace in the order in which they are computed, by step.

    Each has a name, and is a key of the trace or, of the losses, an entry of it.
    """
    yield "before step 1", _leaves(trace, "prediction@0/", "")
    yield "step 1", _leaves(trace, "gradient/", "the gradient of ")
    for step in range(1, steps + 1):
        yield f"step {step}", {"the loss": ("loss", step - 1)}
        yield f"step {step}", _leaves(trace, f"state@{step}/", "")


def _leaves(trace: Tree, prefix: str, words: str) -> dict[str, tuple[str, int | None]]:
    own = (key for key in trace if key.startswith(prefix))
    return {f"{words}{key.removeprefix(prefix)}": (key, None) for key in own}


def _errors(
    old: Tree, new: Tree, keys: dict[str, tuple[str, int | None]]
) -> Iterator[tuple[str, float]]:
    """How far each of the quantities differs, by name: 0 where it is the same to the bit."""
    for name, (key, entry) in keys.items():
        a, b = (tree.get(key) for tree in (old, new))
        if a is None or b is None or a.shape != b.shape:
            yield name, np.inf
        elif entry is None:
            yield name, _error(a, b)
        else:
            yield name, _error(a[entry], b[entry])


def _error(a: Array, b: Array) -> float:
    if np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
        return 0.0
    return relative_error(b, a)
