"""Taps: names for what a model computes on its way, recorded only where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tinygrad import Tensor

from backends.program import numbered

_record: dict[str, Tensor] | None = None


def tap(name: str, x: Tensor) -> Tensor:
    """Returns ``x``, which is recorded under ``name`` if taps are asked for."""
    if _record is not None:
        _record[numbered(name, _record)] = x
    return x


@contextmanager
def recorded() -> Iterator[dict[str, Tensor]]:
    """Records what is tapped meanwhile, in the order of computation."""
    global _record
    record: dict[str, Tensor] = {}
    _record = record
    try:
        yield record
    finally:
        _record = None
