"""Observations of single steps, and the first operation in which two backends differ.

In float64 and canonical layout, from one state and batch: what each operation gave on the way
forwards, what came back to it, the gradients, and the state before and after the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tasks.task import Array, State, Tree

Tap = tuple[Array, Array | None]
"""The value of an operation, and its cotangent: the loss's gradient with respect to the value.

The cotangent is None where a backend computes none."""
Phase = Literal["forwards", "backwards", "gradient", "update"]


@dataclass(frozen=True)
class Observation:
    """One training step of one backend."""

    step: int
    """From 1."""
    taps: Mapping[str, Tap]
    """By name, in the order of computation; the last one is the ``loss``."""
    gradients: Tree
    before: Tree
    """The state: ``params/<leaf>``, ``buffers/<leaf>`` and ``<slot>/<leaf>``."""
    after: Tree


@dataclass(frozen=True)
class Located:
    """The first operation in which a backend differs from the oracle."""

    operation: str
    """A tap; a leaf in ``gradient``; in ``update`` an entry of the state after the step."""
    phase: Phase
    inputs: float
    """The largest relative error of all that goes into it."""
    error: float | None
    """The error of its output; None if it has another shape, or is not finite."""
    own: Observation
    oracle: Observation
    others: tuple[str, ...] = ()
    """Further leaves that differ, where the operation is a leaf."""
    unnamed: tuple[str, ...] = ()
    """Operations of the oracle between the inputs and this one that the backend has no name for."""

    def __str__(self) -> str:
        step = f"step {self.own.step}, " if self.own.step > 1 else ""
        inputs = "equal" if not self.inputs else f"equal to {self.inputs:.0e}"
        off = "of another shape or not finite" if self.error is None else f"off by {self.error:.0e}"
        told = {
            "forwards": f"inputs {inputs}, output {off}",
            "backwards": f"cotangents behind it {inputs}, its own {off}",
            "gradient": f"values and cotangents {inputs}, the leaf's gradient {off}",
            "update": f"gradients {inputs}, the state after the step {off}",
        }[self.phase]
        names = f"{step}{self.operation}, {PHASES[self.phase]}: {told}"
        if self.unnamed:
            names += f" (it has no {', '.join(self.unnamed)})"
        if not self.others:
            return names
        further = ", ".join(self.others[:TOLD])
        more = len(self.others[TOLD:])
        return f"{names}; so {further}{f' and {more} more' if more else ''}"


TOLD = 3
"""Leaves that are named beside the first."""
PHASES: Mapping[Phase, str] = {
    "forwards": "forwards",
    "backwards": "backwards",
    "gradient": "its gradient",
    "update": "its update",
}
"""Phases in the order in which a step goes through them, and how a text calls them."""


def leaves(state: State) -> Tree:
    """Every array of a state, under the names that an observation has for it."""
    trees = {"params": state.params, "buffers": state.buffers, **state.slots}
    return {f"{kind}/{name}": leaf for kind, tree in trees.items() for name, leaf in tree.items()}


def flat(seen: Observation) -> dict[str, Array]:
    """The arrays of an observation for one file, by names that begin with its step."""
    arrays = {f"value/{name}": value for name, (value, _) in seen.taps.items()}
    cotangents = {name: c for name, (_, c) in seen.taps.items() if c is not None}
    arrays |= {f"cotangent/{name}": cotangent for name, cotangent in cotangents.items()}
    for part in ("gradients", "before", "after"):
        arrays |= {f"{part}/{name}": leaf for name, leaf in getattr(seen, part).items()}
    return {f"{seen.step}/{name}": array for name, array in arrays.items()}


def read(arrays: Mapping[str, Array], step: int) -> Observation:
    """The observation of a step that ``flat`` made these of."""

    def part(kind: str) -> dict[str, Array]:
        start = f"{step}/{kind}/"
        return {n.removeprefix(start): arrays[n] for n in arrays if n.startswith(start)}

    cotangents = part("cotangent")
    taps = {name: (value, cotangents.get(name)) for name, value in part("value").items()}
    return Observation(step, taps, part("gradients"), part("before"), part("after"))
