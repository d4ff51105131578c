"""Causes in what changes without a gradient: running statistics, and state that is carried on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from suite.causes.difference import Difference, Explanation, best, error
from suite.causes.evidence import Buffers, merged
from tasks.task import Array, Tree

UNBIASED = (
    "running variance",
    "torch.nn.BatchNorm keeps an unbiased running variance, with n / (n - 1), and normalises by "
    "the biased one; Keras and Flax keep the biased one",
)
MOMENTUM = (
    "running statistics: momentum",
    "momentum is the part of the new value in torch.nn.BatchNorm (0.1) and the part that is kept "
    "in Keras and Flax (0.99)",
)
TOUCHED = (
    "gradients change buffers",
    "gradients() changes nothing: put back what a forward pass in training mode renews",
)
NOT_RENEWED = (
    "buffers are not renewed",
    "renew them in every training step: model.train() in PyTorch, training=True in Keras, "
    "mutable= in Flax; a recurrent layer carries its state on only where it is told to",
)


def explanations(
    seen: Sequence[Buffers], rows: Collection[int], allowed: float
) -> tuple[Difference, list[Explanation]]:
    """How buffers differ after a step, and the causes that explain it.

    ``rows`` are the numbers that samples or places of a batch may have, ``allowed`` is the error
    that the proof allows of the state.
    """
    if touched := [
        n for b in seen for n, old in b.before.items() if error(b.met[n], old) > allowed
    ]:
        said = f"{', '.join(dict.fromkeys(touched))} changes when gradients are asked for"
        name, remedy = TOUCHED
        return Difference({}, {}, allowed), [Explanation(name, said, remedy, 0.0)]
    own, reference = merged([b.own for b in seen]), merged([b.reference for b in seen])
    before = merged([b.before for b in seen])
    difference = Difference(own, reference, allowed)
    if not difference.differing:
        return difference, []
    found = []
    for (name, remedy), said, hypothesis in _hypotheses(difference, before, rows):
        rest = difference.rest(hypothesis)
        if difference.explains(rest):
            found.append(Explanation(name, said, remedy, rest))
    return difference, best(found)


def _hypotheses(
    difference: Difference, before: Tree, rows: Collection[int]
) -> Iterator[tuple[tuple[str, str], str, Tree]]:
    own, reference = difference.own, difference.reference
    off = difference.differing
    named = ", ".join(dict.fromkeys(name.partition("/")[2] for name in off))
    yield (
        *(NOT_RENEWED, f"{named} stays as it is"),
        {**reference, **{n: before[n] for n in off}},
    )
    yield (
        *(NOT_RENEWED, f"{named} is 0 after a step"),
        {**reference, **{n: np.zeros_like(own[n]) for n in off}},
    )
    fits = {n: _combination(own[n], reference[n], before[n]) for n in off}
    if not all(fits.values()):
        return
    made = {n: f[2] for n, f in fits.items() if f}
    (a, b), *others = ((f[0], f[1]) for f in fits.values() if f)
    if abs(a + b - 1) < CLOSE and a > CLOSE and all(_near(o, (a, b)) for o in others):
        # own = m' old + (1 - m') x, reference = m old + (1 - m) x: a = (1 - m') / (1 - m)
        said = f"{named}: the new value counts {a:.6g} times as much"
        yield MOMENTUM, said, {**reference, **made}
    if 0 < a != 1 and all(name.rpartition(".")[2].startswith("var") for name in off):
        # own - m old = n / (n - 1) (reference - m old), or the inverse, with 0 <= m <= 1
        n = round(a / (a - 1) if a > 1 else 1 / (1 - a))
        ratio, word = (n / (n - 1), "unbiased") if a > 1 and n > 1 else (1 - 1 / n, "biased")
        if n in rows and all(
            abs(x - ratio) < CLOSE and -CLOSE <= y / (1 - ratio) <= 1 + CLOSE
            for x, y in [(a, b), *others]
        ):
            yield UNBIASED, f"{named} is {word}, n = {n}", {**reference, **made}


CLOSE = 1e-8


def _near(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return abs(one[0] - other[0]) < CLOSE and abs(one[1] - other[1]) < CLOSE


def _combination(own: Array, reference: Array, old: Array) -> tuple[float, float, Array] | None:
    """The numbers a, b with ``own = a reference + b old``, by least squares, and that sum.

    None of fewer than three entries, for which there are always such numbers.
    """
    if own.size < 3 or own.shape != reference.shape:
        return None
    columns = np.stack([reference.ravel(), old.ravel()], axis=1)
    if np.linalg.matrix_rank(columns) < 2:
        # where old is 0, nothing is known of b
        square = float(np.vdot(reference, reference))
        if old.any() or not square:
            return None
        a = float(np.vdot(reference, own)) / square
        return a, 1 - a, a * reference
    (a, b), *_ = np.linalg.lstsq(columns, own.ravel(), rcond=None)
    return float(a), float(b), a * reference + b * old


CAUSES = (UNBIASED, MOMENTUM, NOT_RENEWED, TOUCHED)
"""All that are known: their names, and what to do."""
