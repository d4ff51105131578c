"""The criterion: does a hypothesis explain how a port differs from the reference, to rounding?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tasks.task import Array, Tree

REST = 1e-3
"""A hypothesis may leave this fraction of the difference."""
AS_GOOD = 100.0
"""Hypotheses that leave less than this times the smallest rest explain equally."""
ROUNDING = 1e-14
"""Two rests below this, relative to the largest entry, are both nothing but rounding."""


def error(a: Array, b: Array) -> float:
    """The largest difference of two arrays, relative to the largest entry of the second.

    Infinite if their shapes differ or an entry is not finite.
    """
    if a.shape != b.shape:
        return np.inf
    a, b = a.astype(np.float64), b.astype(np.float64)
    scale = float(np.abs(b).max(initial=0.0)) or 1.0  # as in the proof
    largest = float(np.abs(a - b).max(initial=0.0)) / scale
    return largest if np.isfinite(largest) else np.inf


@dataclass(frozen=True)
class Difference:
    """The results of a port, ``own``, and those of the reference, by the same names."""

    own: Tree
    reference: Tree
    allowed: float
    """The error that the proof allows of them, relative to the largest entry of each."""

    @cached_property
    def errors(self) -> dict[str, float]:
        """The error of every result."""
        return {name: error(self.own[name], b) for name, b in self.reference.items()}

    @cached_property
    def size(self) -> float:
        """The largest error."""
        return max(self.errors.values(), default=0.0)

    @property
    def differing(self) -> tuple[str, ...]:
        """The results that differ by more than is allowed, in their order."""
        return tuple(name for name, size in self.errors.items() if size > self.allowed)

    def rest(self, hypothesis: Tree) -> float:
        """The largest error that is left if the reference is replaced by the hypothesis, which may
        leave some results out."""
        return max((error(self.own[n], a) for n, a in hypothesis.items()), default=0.0)

    def explains(self, rest: float) -> bool:
        """Tells if a hypothesis that leaves ``rest`` explains the difference to rounding.

        It leaves at most a thousandth of the difference, and no more than the proof allows.
        """
        return rest <= self.allowed and rest <= REST * self.size


@dataclass(frozen=True)
class Explanation:
    """A cause that explains a difference."""

    cause: str
    """Its name in the catalogue."""
    said: str
    """The cause in this case."""
    remedy: str
    """Which framework has it as its default, and which setting to change."""
    rest: float
    """The error that it leaves."""


def best(found: Iterable[Explanation]) -> list[Explanation]:
    """Those that explain equally well, the best first, one for each wording."""
    ordered: Sequence[Explanation] = sorted(found, key=lambda e: e.rest)
    if not ordered:
        return []
    limit = max(AS_GOOD * ordered[0].rest, ROUNDING)
    by_words = {e.said: e for e in reversed(ordered) if e.rest <= limit}
    return sorted(by_words.values(), key=lambda e: e.rest)
