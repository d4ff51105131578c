"""Flips: what ``tetragrad explain`` changes in a worker, one thing at a time, to time it again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import numpy as np

from backends.program import Backend, Program, Rehearsing, Switching, Unavailable
from tasks.task import Array, Chunk

LAUNCHES, TRANSFER, COMPILING = "launches", "transfer", "compiling"
FORWARD, GRADIENTS = "forward", "gradients"
Build = Callable[[], Program]


def in_backend(backend: Backend, flips: Collection[str]) -> None:
    """Flips what the backend itself can, after ``configure``. Raises Unavailable if it cannot."""
    own = backend.SWITCHES if isinstance(backend, Switching) else {}
    for name in flips:
        if name in own and isinstance(backend, Switching):
            backend.flip(name)
        elif name not in _WRAPPERS:
            raise Unavailable(f"{backend.TITLE} has no switch {name!r}")


def in_program(program: Program, flips: Collection[str], build: Build) -> None:
    """Has ``place`` and ``train`` of the program do otherwise. ``build`` makes one like it."""
    for name, wrap in _WRAPPERS.items():
        if name in flips:
            place, train = wrap(program, build)
            vars(program).update(place=place, train=train)


Wrapped = tuple[Callable[[Chunk], Any], Callable[[Any], Array]]
"""Other ways to ``place`` and to ``train``: the latter alone is timed."""


def _step_by_step(program: Program, build: Build) -> Wrapped:
    """Calls the framework once for every step, instead of once for the chunk."""
    place, train = program.place, program.train

    def placed(chunk: Chunk) -> Any:
        steps = range(len(next(iter(chunk.values()))))
        return [place({name: a[step : step + 1] for name, a in chunk.items()}) for step in steps]

    return placed, lambda chunks: np.concatenate([train(one) for one in chunks])


def _with_transfer(program: Program, build: Build) -> Wrapped:
    """Times the chunk's way to the device too."""
    place, train = program.place, program.train
    return lambda chunk: chunk, lambda chunk: train(place(chunk))


def _with_compiling(program: Program, build: Build) -> Wrapped:
    """Trains every chunk by a new program, from the initial state: each is compiled and timed."""
    new: list[Program] = []

    def placed(chunk: Chunk) -> Any:
        new[:] = [build()]
        return new[0].place(chunk)

    return placed, lambda chunk: new[0].train(chunk)


def _rehearsing(gradients: bool, program: Program, build: Build) -> Wrapped:
    """Goes no further than the loss, or the gradients."""
    if not isinstance(program, Rehearsing):
        raise Unavailable("this program cannot stop short of its update: it has no rehearse")
    rehearse = program.rehearse
    return program.place, lambda chunk: rehearse(chunk, gradients)[0]


_WRAPPERS: dict[str, Callable[[Program, Build], Wrapped]] = {
    COMPILING: _with_compiling,
    LAUNCHES: _step_by_step,
    TRANSFER: _with_transfer,
    FORWARD: partial(_rehearsing, False),
    GRADIENTS: partial(_rehearsing, True),
}
"""Each is put around those before it."""
