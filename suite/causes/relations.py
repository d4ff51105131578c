"""Relations: how two arrays differ, in general.

Every relation is a function of a port's array and the reference's, any shape, that says in words
how they differ, or None if they do not differ in this way. ``rounding`` is the error, relative to
the largest entry, that is taken for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np

from suite.causes.difference import Difference, error
from tasks.task import Array

Relation = Callable[[Array, Array, float], str | None]
MOST_BLOCKS = 4
"""Blocks are looked for in halves, thirds and quarters of an axis: an LSTM has four gates."""


def _same(own: Array, hypothesis: Array, reference: Array, rounding: float) -> bool:
    """Tells if the hypothesis explains ``own``, by the same criterion as for causes.

    If the shapes differ, the difference has no size, and rounding is the criterion.
    """
    difference = Difference({"": own}, {"": reference}, rounding)
    return difference.explains(error(own, hypothesis))


def nothing(own: Array, reference: Array, rounding: float) -> str | None:
    """Zero, where the reference is not."""
    return "it is 0" if reference.any() and not own.any() else None


def factor_of(own: Array, reference: Array) -> float:
    """The factor k of the least squares ``own = k reference``; nan if the reference is 0."""
    square = float(np.vdot(reference, reference))
    return float(np.vdot(reference, own)) / square if square else np.nan


def factor(own: Array, reference: Array, rounding: float) -> str | None:
    """A constant factor; -1 is a sign."""
    if own.shape != reference.shape or reference.size < 2:
        return None
    k = factor_of(own, reference)
    if not k or not np.isfinite(k) or not _same(own, k * reference, reference, rounding):
        return None
    return "its sign is the other" if abs(k + 1) < 1e-6 else f"it is {k:.6g} times it"


def constant(own: Array, reference: Array, rounding: float) -> str | None:
    """The same constant added to all entries."""
    if own.shape != reference.shape or reference.size < 3:
        return None
    c = float(np.mean(own - reference))
    if not _same(own, reference + c, reference, rounding):
        return None
    return f"{c:.6g} is added to all entries"


def transposed(own: Array, reference: Array, rounding: float) -> str | None:
    """Axes in another order."""
    for order in permutations(range(reference.ndim)):
        turned = reference.transpose(order)
        if order == tuple(sorted(order)) or turned.shape != own.shape:
            continue
        if error(own, turned) <= rounding and not _equal(own, reference, rounding):
            return "it is transposed" if own.ndim == 2 else f"its axes are in the order {order}"
    return None


def _equal(own: Array, reference: Array, rounding: float) -> bool:
    return error(own, reference) <= rounding


def blocks(own: Array, reference: Array, rounding: float) -> str | None:
    """Blocks exchanged along an axis, such as the gates of an LSTM."""
    if own.shape != reference.shape:
        return None
    for axis, count, order in _orders(reference.shape):
        parts = np.split(reference, count, axis)
        if _same(own, np.concatenate([parts[i] for i in order], axis), reference, rounding):
            said = ", ".join(str(i + 1) for i in order)
            return f"its {count} blocks along axis {axis} are in the order {said}"
    return None


def _orders(shape: tuple[int, ...]) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    for axis, length in enumerate(shape):
        for count in range(2, MOST_BLOCKS + 1):
            if length % count == 0 and length > count:
                for order in permutations(range(count)):
                    if order != tuple(range(count)):
                        yield axis, count, order


def shifted(own: Array, reference: Array, rounding: float) -> str | None:
    """Shifted by one entry along an axis, such as a step; the edge is left out."""
    if own.shape != reference.shape or _equal(own, reference, rounding):
        return None
    for axis, length in enumerate(reference.shape):
        if length < 4:
            continue
        first, last = ([slice(None)] * own.ndim for _ in range(2))
        first[axis], last[axis] = slice(0, -1), slice(1, None)
        ahead, behind = tuple(first), tuple(last)
        for mine, other, word in ((ahead, behind, "early"), (behind, ahead, "late")):
            if reference[other].any() and _same(
                own[mine], reference[other], reference[mine], rounding
            ):
                return f"it is one entry too {word} along axis {axis}"
    return None


def padding(own: Array, reference: Array, mask: Array, rounding: float) -> str | None:
    """Equal but at the padding: ``mask`` (leading axes of the array) is False there."""
    if mask.shape != own.shape[: mask.ndim] or mask.all() or _equal(own, reference, rounding):
        return None
    if own.shape != reference.shape:
        return None
    there = mask.reshape(*mask.shape, *(1,) * (own.ndim - mask.ndim))
    if not mask.any() or not _same(own, np.where(there, reference, own), reference, rounding):
        return None
    return "it is equal but at the padding"


def a_part(own: Array, reference: Array, rounding: float) -> str | None:
    """Equal but in some rows along an axis."""
    if own.shape != reference.shape or own.ndim == 0:
        return None
    scale = float(np.abs(reference).max(initial=0.0)) or 1.0
    off = np.abs(own - reference) > rounding * scale
    there = (own != 0) | (reference != 0)  # of an embedding, rows of words that were met
    for axis in range(own.ndim):
        others = tuple(i for i in range(own.ndim) if i != axis)
        rows, length = np.flatnonzero(off.any(axis=others)), int(there.any(axis=others).sum())
        if 0 < len(rows) <= length / 2 and length > 3:
            named = ", ".join(map(str, rows[:4])) + (", ..." if len(rows) > 4 else "")
            return f"it is equal but at {len(rows)} of {length} entries along axis {axis}: {named}"
    return None


def rounded(own: Array, reference: Array, rounding: float) -> str | None:
    """Another precision: all entries are numbers of a shorter type, and near the reference."""
    if own.shape != reference.shape or np.count_nonzero(own) < 8:
        return None
    for name, kept, digits in (("bfloat16", bfloat16(own), 8), ("float32", own.astype("f4"), 24)):
        if np.array_equal(kept, own) and rounding < error(own, reference) < 2.0 ** (8 - digits):
            return f"it is rounded to {name}"
    return None


def bfloat16(a: Array) -> Array:
    """An array of any shape whose numbers are cut to the digits that bfloat16 keeps, float32."""
    bits = np.ascontiguousarray(a, "f4").view("u4") & np.uint32(0xFFFF0000)
    return bits.view("f4")


RELATIONS: tuple[Relation, ...] = (
    *(nothing, rounded, factor, transposed, blocks, shifted, constant, a_part),
)
"""The first that holds is named."""


def relation(own: Array, reference: Array, rounding: float) -> str | None:
    """How the first array differs from the second; None if no relation is known, or they agree."""
    own, reference = own.astype(np.float64), reference.astype(np.float64)
    if _equal(own, reference, rounding) or not np.isfinite(own).all():
        return None
    return next((said for r in RELATIONS if (said := r(own, reference, rounding))), None)
