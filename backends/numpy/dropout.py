"""Dropout in NumPy: by masks that come with the batch, or else by masks drawn for the step.

Scaled in training, not in evaluation: Srivastava et al. 2014, section 10.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from backends.numpy.arrays import uniform
from backends.numpy.layers import Saved
from tasks.task import MASK, Array, Tree

_records: list[dict[str, Array]] = []
"""Where masks are recorded, if they are."""


@dataclass(frozen=True)
class Dropping:
    """The dropout of one step.

    A layer keeps what ``given`` says under ``dropout/<layer>``. Where nothing is given, it draws
    from ``key``, which is (seed, step), and its number; without a key it drops nothing.
    """

    rate: float
    key: tuple[int, int] | None
    given: Tree

    def mask(self, layer: str, number: int, shape: tuple[int, ...], dtype: Any) -> Array | None:
        """Factors of an activation's entries: 0 with probability ``rate``, else 1 / (1 - rate)."""
        kept = self.given.get(f"{MASK}{layer}")
        if not self.rate or (kept is None and self.key is None):
            return None
        if kept is None:
            kept = self._drawn(number, shape)
        mask: Array = kept.astype(dtype)
        mask /= 1 - self.rate
        for record in _records:
            record[layer] = mask
        return mask

    def _drawn(self, number: int, shape: tuple[int, ...]) -> Array:
        assert self.key is not None
        seed, step = self.key
        # spawn_key keeps this stream apart from those of the parameters and the permutations
        sequence = np.random.SeedSequence(seed, spawn_key=(1, step, number))
        kept: Array = uniform(sequence, shape) >= self.rate
        return kept


def dropout(x: Array, mask: Array | None) -> tuple[Array, Saved]:
    """y = x mask; y = x without one."""
    return (x if mask is None else x * mask), (mask,)


def dropout_backward(dy: Array, saved: Saved) -> Array:
    """dx = dy mask."""
    (mask,) = saved
    return dy if mask is None else dy * mask


@contextmanager
def recorded() -> Iterator[dict[str, Array]]:
    """Records by layer the factors that activations are multiplied by meanwhile."""
    record: dict[str, Array] = {}
    _records.append(record)
    try:
        yield record
    finally:
        _records.remove(record)
