"""Causes in one operation of a model: the ways in which frameworks compute what has one name.

A *family* holds the variants of an operation. The cause is named if one variant gives the
reference's value to rounding and another the port's: no constant of the task has to be known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from suite.causes.difference import AS_GOOD, REST, Explanation, best, error
from tasks.task import Array, Tree

Variant = tuple[str, Array]
"""A way to compute an operation, in words, and the value that it gives; nan where that cannot be
known from what is tapped."""
KNOWN = 0.25
"""A variant must say at least this part of a value."""
ROUNDING = 1e-9
"""A variant gives a value if it differs by less, relative to the largest entry, and by less than a
thousandth of what port and reference differ by."""
NEAREST = 16
"""Values before the operation that are tried as its inputs."""


@dataclass(frozen=True)
class Operation:
    """An operation whose inputs are equal in port and reference, and whose values differ."""

    name: str
    """The tap: ``encoder.0.self.norm``."""
    own: Array
    reference: Array
    before: Mapping[str, Array] = field(default_factory=dict)
    """The values before it, by their taps, in order."""
    params: Tree = field(default_factory=dict)
    batch: Tree = field(default_factory=dict)

    @property
    def inputs(self) -> Iterator[tuple[str, Array]]:
        """The floating-point arrays that it may have been computed from, the nearest first."""
        for name in [*self.before][: -NEAREST - 1 : -1]:
            yield name, self.before[name]
        for name, a in self.batch.items():
            if a.dtype.kind == "f":
                yield name, a

    def like(self) -> Iterator[tuple[str, Array]]:
        """The inputs of its own shape; none of a number."""
        shape = self.reference.shape
        return ((n, a) for n, a in self.inputs if a.ndim and a.shape == shape)

    def leaf(self, last: str) -> Array | None:
        """Its parameter ``<name>.<last>``, if it has one."""
        stem = self.name.partition(" (")[0]
        return self.params.get(f"{stem}.{last}")


class Family(ABC):
    """The variants of an operation.

    ``remedy`` says which framework has which as its default and which setting to change.
    """

    name: ClassVar[str]
    remedy: ClassVar[str]

    @abstractmethod
    def variants(self, op: Operation) -> Iterator[Variant]:
        """All of them, from each array that may be the input; none for another operation."""


def explanations(op: Operation, families: tuple[Family, ...]) -> list[Explanation]:
    """The causes that explain an operation; none unless its variants give both values."""
    size = error(op.own, op.reference)
    if op.own.shape != op.reference.shape or not np.isfinite(size):
        return []
    real = _real(op)
    found = []
    for family in families:
        theirs: dict[str, float] = {}
        mine: dict[str, float] = {}
        for said, value in family.variants(op):
            if value.shape != op.own.shape:
                continue
            known = real & ~np.isnan(value)
            size = error(op.own[known], op.reference[known])
            if known.sum() < KNOWN * real.sum() or not size:
                continue
            for values, target in ((theirs, op.reference), (mine, op.own)):
                rest = error(target[known], value[known])
                if rest <= min(ROUNDING, REST * size):
                    values.setdefault(said, rest)
        both = {*theirs} & {*mine}  # the same variant of another input is no cause here
        theirs, mine = ({v: r for v, r in f.items() if v not in both} for f in (theirs, mine))
        if theirs and mine:
            named = " or ".join(_nearest(mine)[:MOST_NAMED])
            said = f"{named} instead of {_nearest(theirs)[0]}"
            found.append(Explanation(family.name, said, family.remedy, min(mine.values())))
    return best(found)


def _nearest(rests: Mapping[str, float]) -> list[str]:
    """The variants that come nearest to a value, in their order, by what each leaves."""
    limit = max(AS_GOOD * min(rests.values()), EQUAL)
    return [said for said, rest in rests.items() if rest <= limit]


EQUAL = 1e-14
"""Two variants that leave less, relative to the largest entry, give the same value."""
MOST_NAMED = 2
"""Variants of a family that are named at most, where they give the same value."""


def _real(op: Operation) -> Array:
    """The entries that are not padding: canonical layouts hold 0 there, in a port as well."""
    real = (op.own != 0) | (op.reference != 0)
    return np.broadcast_to(real.any(axis=-1, keepdims=True), real.shape) if real.ndim > 1 else real
