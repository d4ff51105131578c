"""Taps: names for what a model computes on its way, recorded only where that is asked for.

Otherwise nothing of them is in what is traced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from backends.program import Tap, numbered

Arrays = Mapping[str, jax.Array]
View = Callable[[str, jax.Array], jax.Array]
"""``view(name, x)``: what is tapped, in the layout that all backends share; linear in x."""
_record: Record | None = None


def tap(name: str, x: jax.Array, axes: Sequence[int] | None = None) -> jax.Array:
    """Returns what to go on with in place of ``x``: x itself, unless taps are asked for.

    It is then recorded under ``name``. ``axes`` is the order of its axes in which all backends
    agree, as of ``transpose``. Inside of a loop of JAX's own (``scan``) nothing can be recorded.
    """
    return x if _record is None else _record.note(name, x, axes)


class Record:
    """The taps of one trace. To each value it adds a zero, whose gradient is the cotangent."""

    def __init__(self, view: View | None, zeros: Arrays | None):
        """``zeros`` by name, in canonical layout; None in a first trace, which finds the shapes."""
        self.values: dict[str, jax.Array] = {}
        self._view, self._zeros = view, zeros

    def note(self, name: str, x: jax.Array, axes: Sequence[int] | None) -> jax.Array:
        """Keeps a value."""
        name = numbered(name, self.values)

        def canonical(x: jax.Array) -> jax.Array:
            seen = x if self._view is None else self._view(name, x)
            return seen if axes is None else seen.transpose(axes)

        self.values[name] = canonical(x)
        if self._zeros is None:
            return x
        (moved,) = jax.linear_transpose(canonical, x)(self._zeros[name])
        y: jax.Array = x + moved
        return y


@contextmanager
def recorded(record: Record) -> Iterator[None]:
    """Records what is tapped in what is traced meanwhile."""
    global _record
    _record = record
    try:
        yield
    finally:
        _record = None


Loss = Callable[[], jax.Array]


def taps_of(loss: Loss, view: View | None) -> Mapping[str, Tap]:
    """Values and cotangents of all that ``loss`` taps, by name, in the order of computation."""
    zeros = {name: jnp.zeros(s.shape, s.dtype) for name, s in shapes_of(loss, view).items()}

    def moved(zeros: Arrays) -> Any:
        record = Record(view, zeros)
        return _run(loss, record), record.values

    cotangents, values = jax.jit(jax.grad(moved, has_aux=True))(zeros)
    return {name: (np.asarray(values[name]), np.asarray(cotangents[name])) for name in zeros}


def shapes_of(loss: Loss, view: View | None) -> Mapping[str, Any]:
    """Shape and type of each, from a trace alone."""
    record = Record(view, None)
    jax.eval_shape(lambda: _run(loss, record))
    return record.values


def _run(loss: Loss, record: Record) -> jax.Array:
    with recorded(record):
        return tap("loss", loss())
