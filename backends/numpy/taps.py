"""Taps: names for what a model computes on its way, recorded only where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from backends.numpy import arrays
from backends.program import Tap, numbered
from tasks.task import Array

View = Callable[[str, Array], Array]
"""``view(name, x)``: what is tapped, or its cotangent, in the layout that all backends share."""
_record: Record | None = None


def tap(name: str, x: Array, axes: Sequence[int] | None = None) -> Array:
    """Returns ``x``, an operation's value, which is recorded under ``name`` if that is asked for.

    ``axes`` is the order of its axes in which all backends agree, as of ``transpose``.
    """
    if _record is not None:
        _record.forwards(name, x, axes)
    return x


def tap_back(name: str, dx: Array, axes: Sequence[int] | None = None) -> Array:
    """Returns ``dx``, on the way back: the gradient with respect to what is tapped as ``name``."""
    if _record is not None:
        _record.backwards(name, dx, axes)
    return dx


class Record:
    """The taps of a step, copied: what comes after may overwrite them."""

    def __init__(self, view: View | None):
        self._view = view
        self._values: dict[str, Array] = {}
        self._cotangents: dict[str, list[Array]] = {}

    def forwards(self, name: str, x: Array, axes: Sequence[int] | None) -> None:
        """Keeps a value."""
        self._values[numbered(name, self._values)] = self._kept(name, x, axes)

    def backwards(self, name: str, dx: Array, axes: Sequence[int] | None) -> None:
        """Keeps a cotangent. Of operations that have one name, the last one comes first."""
        self._cotangents.setdefault(name, []).append(self._kept(name, dx, axes))

    def _kept(self, name: str, x: Array, axes: Sequence[int] | None) -> Array:
        seen = x if self._view is None else self._view(name, x)
        return np.array(arrays.to_host(seen if axes is None else seen.transpose(axes)))

    def taps(self) -> Mapping[str, Tap]:
        """By name, in the order of the values."""
        found = {}
        for name, value in self._values.items():
            back = self._cotangents.get(name.partition(" (")[0], [])
            found[name] = value, back.pop() if back else None
        return found


@contextmanager
def recorded(view: View | None) -> Iterator[Record]:
    """Records what is tapped meanwhile."""
    global _record
    _record = record = Record(view)
    try:
        yield record
    finally:
        _record = None
