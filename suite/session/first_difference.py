"""The first operation in which a backend's step differs from the oracle's, state and batch equal.

Forwards, what is computed from equal inputs and is not equal itself has added the error: all that
comes after inherits it. So has, backwards, a cotangent behind which all cotangents are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from suite.records.taps import Located, Observation
from suite.session.equivalence import least, relative_error, without_effect
from tasks.task import Array, Envelope, Tree

TOLD = 3
"""More operations than these that a backend has no name for are not told one by one."""


@dataclass(frozen=True)
class Errors:
    """How far an operation's value and its cotangent are off, relative to the largest entry.

    Infinite where it is of another shape or not finite; None for a cotangent that is not computed.
    """

    operation: str
    value: float
    cotangent: float | None


def first_difference(own: Observation, oracle: Observation, allowed: Envelope) -> Located | None:
    """The first operation, leaf or entry of the state with an error that is not ``allowed``.

    ``allowed`` is of float64. None if all agree. Only what both have a name for is compared.
    """
    rows = errors(own, oracle)
    values = {row.operation: row.value for row in rows}
    cotangents = {r.operation: r.cotangent for r in reversed(rows) if r.cotangent is not None}
    # on the way back, the gradients of the last layers come first
    leaves = [n for n in map(_leaf, reversed([*oracle.before])) if n in oracle.gradients]
    scale = least(own.gradients, allowed.gradient)
    gradients = _errors_of(own.gradients, {n: oracle.gradients[n] for n in leaves}, scale)
    idle = without_effect(own.gradients, oracle.gradients)
    after = _errors_of(own.after, oracle.after)
    after = {name: error for name, error in after.items() if name.rpartition("/")[2] not in idle}
    state = {name: after[name] for name in sorted(after, key=_place)}
    equal = max((*values.values(), *cotangents.values()), default=0.0)

    if name := _first(values, allowed.gradient):
        unnamed = _unnamed(name, [*oracle.taps], own.taps)
        error, inputs = _told(values[name]), _before(name, values)
        return Located(name, "forwards", inputs, error, own, oracle, unnamed=unnamed)
    if name := _first(cotangents, allowed.gradient):
        unnamed = _unnamed(name, [*oracle.taps][::-1], own.taps)
        error, inputs = _told(cotangents[name]), _before(name, cotangents)
        return Located(name, "backwards", inputs, error, own, oracle, unnamed=unnamed)
    if name := _first(gradients, allowed.gradient):
        others = _others(name, gradients, allowed.gradient)
        return Located(name, "gradient", equal, _told(gradients[name]), own, oracle, others)
    if name := _first(state, allowed.state):
        others, equal = _others(name, state, allowed.state), max(gradients.values(), default=0.0)
        return Located(name, "update", equal, _told(state[name]), own, oracle, others)
    return None


def errors(own: Observation, oracle: Observation) -> list[Errors]:
    """The errors of all operations that both have a name for, in the order of computation."""
    return [
        Errors(name, relative(own.taps[name][0], value), _of_cotangents(own.taps[name][1], back))
        for name, (value, back) in oracle.taps.items()
        if name in own.taps
    ]


def relative(own: Array, oracle: Array, scale: float = 0.0) -> float:
    """Relative to the oracle's largest entry, or to ``scale``; infinite if the shapes differ."""
    return relative_error(own, oracle, scale) if own.shape == oracle.shape else np.inf


def _of_cotangents(own: Array | None, oracle: Array | None) -> float | None:
    return None if own is None or oracle is None else relative(own, oracle)


def _errors_of(own: Tree, oracle: Tree, scale: float = 0.0) -> dict[str, float]:
    return {n: relative(own[n], a, scale) if n in own else np.inf for n, a in oracle.items()}


def _leaf(name: str) -> str:
    """The parameter of an entry of the state; of other entries, no name of a parameter."""
    return name.removeprefix("params/")


def _place(name: str) -> int:
    """Buffers come from the way forwards, slots from gradients, and parameters from slots."""
    return {"buffers": 0, "params": 2}.get(name.partition("/")[0], 1)


def _first(found: Mapping[str, float], tolerance: float) -> str | None:
    return next((name for name, error in found.items() if error > tolerance), None)


def _others(first: str, found: Mapping[str, float], tolerance: float) -> tuple[str, ...]:
    return tuple(name for name, error in found.items() if error > tolerance and name != first)


def _before(name: str, found: Mapping[str, float]) -> float:
    """The largest of the errors of what comes before ``name``."""
    return max((found[n] for n in takewhile(lambda n: n != name, found)), default=0.0)


def _unnamed(name: str, order: list[str], own: Mapping[str, object]) -> tuple[str, ...]:
    """The operations right before ``name`` that the backend has no name for, if they are few."""
    before = reversed(order[: order.index(name)])
    missing: Iterator[str] = takewhile(lambda n: n not in own, before)
    # a module of modules is named by these
    found = tuple(n for n in missing if not any(o.startswith(f"{n}.") for o in order))[::-1]
    return found if len(found) <= TOLD else ()


def _told(error: float) -> float | None:
    return error if np.isfinite(error) else None
