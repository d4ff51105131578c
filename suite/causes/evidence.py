"""Evidence: what is noted of a port, step by step, once it has failed the proof.

Of large leaves, states hold a sample of the entries: rules of an update act entry by entry, but for
the gradients' norms, which are noted too. A note is a flat mapping of names to arrays, as a worker
writes it to a file.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.task import Array, State, Tree

ENTRIES = 1024
"""Entries of a leaf that are noted, if it has more."""
Window = tuple[int, int]
"""The steps that are watched, from the first to before the last."""
FIRST: Window = (0, 3)


def thinned(name: str, array: Array) -> Array:
    """A leaf's sample, flat and float64: the same entries in every backend."""
    flat = np.asarray(array, np.float64).ravel()
    if flat.size <= ENTRIES:
        return flat
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return flat[np.sort(rng.choice(flat.size, ENTRIES, replace=False))]


def note_state(state: State, prefix: str, whole: bool = False) -> dict[str, Array]:
    """The note of a state: a sample of its leaves, or the ``whole`` of them."""
    trees = {"params": state.params, "buffers": state.buffers}
    trees |= {f"slots/{slot}": tree for slot, tree in state.slots.items()}
    noted = {f"{prefix}/step": np.array(state.step)}
    for kind, tree in trees.items():
        for leaf, a in tree.items():
            noted[f"{prefix}/{kind}/{leaf}"] = np.asarray(a) if whole else thinned(leaf, a)
    return noted


def read_state(notes: Tree, prefix: str) -> State:
    """The state of a note."""
    slots: dict[str, dict[str, Array]] = {}
    for name, a in under(notes, f"{prefix}/slots").items():
        slot, _, leaf = name.partition("/")
        slots.setdefault(slot, {})[leaf] = a
    params, buffers = (under(notes, f"{prefix}/{kind}") for kind in ("params", "buffers"))
    return State(params, slots, buffers, int(notes[f"{prefix}/step"]))


def under(notes: Tree, prefix: str) -> dict[str, Array]:
    """The arrays whose names begin with ``prefix/``, by what follows."""
    return {
        name.removeprefix(f"{prefix}/"): a
        for name, a in notes.items()
        if name.startswith(f"{prefix}/")
    }


@dataclass(frozen=True)
class Watched:
    """One step of a port's own training: its state before and after, and its gradients there."""

    step: int
    """Updates made before it."""
    before: State
    after: State
    gradients: Tree
    norms: Mapping[str, float]
    """The norm of every whole leaf of the gradients."""

    def noise(self) -> frozenset[str]:
        """Leaves whose gradient is nothing but rounding: what becomes of it is chance."""
        largest = max(self.norms.values())
        return frozenset(n for n, norm in self.norms.items() if norm <= 1e-12 * largest)


def watched(notes: Tree, window: Window) -> tuple[Watched, ...]:
    """The steps of a window, from a note."""
    return tuple(
        Watched(
            step,
            read_state(notes, f"{step}/before"),
            read_state(notes, f"{step}/after"),
            under(notes, f"{step}/gradient"),
            {name: float(a) for name, a in under(notes, f"{step}/norm").items()},
        )
        for step in range(*window)
    )


@dataclass(frozen=True)
class Point:
    """The loss and gradients of a port, and of the reference, at one state and one batch."""

    params: Tree
    loss: float
    reference_loss: float
    gradients: Tree
    reference: Tree

    @property
    def results(self) -> Tree:
        """The port's loss and gradients by name."""
        return {"loss": np.array([self.loss]), **self.gradients}

    @property
    def expected(self) -> Tree:
        """The reference's."""
        return {"loss": np.array([self.reference_loss]), **self.reference}


COLD, MOVED = "cold", "moved"
"""Points: the initial state at the first batch, and the reference's after ``FIRST`` at the last of
these batches."""


def points(own: Tree, reference: Tree, initial: State) -> tuple[Point, ...]:
    """The points that a port's note and the reference's have."""
    params = {COLD: initial.params, MOVED: under(reference, f"{MOVED}/params")}
    return tuple(
        Point(
            params[name],
            float(own[f"{name}/loss"]),
            float(reference[f"{name}/loss"]),
            under(own, f"{name}/gradient"),
            under(reference, f"{name}/gradient"),
        )
        for name in (COLD, MOVED)
    )


@dataclass(frozen=True)
class Buffers:
    """Buffers before a step, and after it in a port and in the reference, which begin equal."""

    before: Tree
    met: Tree
    """The port's state before the step, once it had been asked for gradients."""
    own: Tree
    reference: Tree


def buffers(own: Tree, reference: Tree) -> tuple[Buffers, ...]:
    """The buffers of both points; nothing of a model without any."""
    places = ("0/before/buffers", "0/after/buffers"), ("met/buffers", "renewed/buffers")
    found = (
        Buffers(
            before=under(reference, before),
            met=under(own, before),
            own=under(own, after),
            reference=under(reference, after),
        )
        for before, after in places
    )
    return tuple(b for b in found if b.before)


def merged(trees: Sequence[Tree]) -> dict[str, Array]:
    """The arrays of all, by name and number."""
    return dict(_numbered(trees))


def _numbered(trees: Sequence[Tree]) -> Iterator[tuple[str, Array]]:
    for number, tree in enumerate(trees):
        for name, a in tree.items():
            yield f"{number}/{name}", np.asarray(a)
