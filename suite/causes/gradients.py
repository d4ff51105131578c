"""Causes in the loss and its gradients, at states and batches where a port and the reference begin
equal."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations
from typing import ClassVar

import numpy as np

from suite.causes.difference import Difference, Explanation, best
from suite.causes.evidence import Point, merged
from suite.causes.relations import factor_of
from tasks.task import MASK, Array, Tree

NEAR = 1e-9
"""Factors and coefficients that differ by less, relative to them, are the same number."""
MOST_KERNELS = 10
"""The most kernels of which all sets are tried that a penalty may be of."""
LOSS = "loss"


@dataclass(frozen=True)
class Facts:
    """Facts on a task: its constants by name, and the batch of every point."""

    constants: Mapping[str, float] = field(default_factory=dict)
    batches: tuple[Tree, ...] = ()

    def factors(self) -> dict[str, list[float]]:
        """Factors that come of a sum for a mean, and the like, by their words: one for a point."""
        every = [_factors(batch) for batch in self.batches]
        names = dict.fromkeys(name for found in every for name in found)
        words: dict[tuple[float, ...], str] = {}
        for name in names:
            words.setdefault(tuple(found.get(name, 1.0) for found in every), name)
        return {name: list(ks) for ks, name in words.items()}


def _factors(batch: Tree) -> dict[str, float]:
    found = {"a half is missing or doubled": 2.0}
    lengths = {len(a): name for name, a in reversed([*batch.items()]) if a.ndim}
    found |= {f"the rows of {name} in a batch": float(rows) for rows, name in lengths.items()}
    for name, a in batch.items():
        if name.startswith(MASK) or a.ndim < 2:
            continue
        found[f"the entries of a row of {name}"] = a.size / len(a)
        found[f"the entries of {name}"] = float(a.size)
        if a.dtype.kind in "iu":
            for said, part in ((name, a), (f"{name} without its first column", a[:, 1:])):
                if (real := np.count_nonzero(part)) not in (0, part.size):
                    found[f"{PADDED} of {said}"] = part.size / real
    return {said: k for said, k in found.items() if k > 1}


Hypothesis = tuple[str, Sequence[Tree]]
"""Words, and the loss and gradients by name that follow, one tree for every point."""
PADDED = "the places by those that are not 0, the padding,"


class GradientCause(ABC):
    """A known difference in a loss or its gradients: hypotheses of what a port computes instead."""

    name: ClassVar[str]
    remedy: ClassVar[str]

    @abstractmethod
    def hypotheses(self, points: Sequence[Point], facts: Facts) -> Iterator[Hypothesis]:
        """Yields every mistake that may explain the differences."""


def _off(points: Sequence[Point], rounding: float = 1e-10) -> list[str]:
    """The leaves whose gradients differ at any point."""
    differences = [Difference(p.gradients, p.reference, rounding) for p in points]
    names = dict.fromkeys(name for d in differences for name in d.differing)
    return list(names)


class SumForMean(GradientCause):
    """A sum for a mean or the like: a constant factor of the loss and of its gradients."""

    name = "sum for mean"
    remedy = (
        'torch has reduction="mean" by default, and nn.MSELoss takes the mean over all entries; '
        'Keras\' losses have reduction="sum_over_batch_size"; tf.nn and optax losses return one '
        "loss for every sample; tf.nn.l2_loss and optax.l2_loss have a half"
    )

    def hypotheses(self, points: Sequence[Point], facts: Facts) -> Iterator[Hypothesis]:
        for said, factors in facts.factors().items():
            for power, word in ((1, f"{factors[0]:.6g}"), (-1, f"1/{factors[0]:.6g}")):
                pairs = list(zip(factors, points, strict=True))
                all_ = [{n: k**power * a for n, a in p.expected.items()} for k, p in pairs]
                yield f"the loss is {word} times as large: {said}", all_
                grown = [{**t, LOSS: p.expected[LOSS]} for t, p in zip(all_, points, strict=True)]
                yield f"the gradients, not the loss, are {word} times as large: {said}", grown


class PathDropped(GradientCause):
    """No gradient reaches some parameters, at all points, where the reference's does.

    One point is not enough: at a corner of the model, such as an answer of 0 under a ReLU, a
    gradient may be 0 whose path is there.
    """

    name = "a gradient path is dropped"
    remedy = (
        "look for detach(), no_grad or requires_grad=False in PyTorch, stop_gradient in TensorFlow "
        "and JAX, trainable=False in Keras"
    )

    def hypotheses(self, points: Sequence[Point], facts: Facts) -> Iterator[Hypothesis]:
        lost = [
            n
            for n in points[0].gradients
            if all(p.reference[n].any() and not p.gradients[n].any() for p in points)
        ]
        if lost:
            yield (
                f"no gradient reaches {_listed(lost)}",
                [{**p.expected} | {n: 0.0 * p.reference[n] for n in lost} for p in points],
            )


class TiedBiases(GradientCause):
    """Two biases that are one parameter."""

    name = "two biases tied"
    remedy = (
        "torch.nn.LSTM and GRU add bias_ih and bias_hh; if both are one parameter, its gradient "
        "counts twice; keep one at 0 with requires_grad_(False)"
    )

    def hypotheses(self, points: Sequence[Point], facts: Facts) -> Iterator[Hypothesis]:
        off = _off(points)
        if off and all(name.rpartition(".")[2].startswith("bias") for name in off):
            yield (
                f"the gradient of {_listed(off)} counts twice",
                [{**p.expected} | {n: 2 * p.reference[n] for n in off} for p in points],
            )


class Penalty(GradientCause):
    """A penalty of weights: with a half, missing, on other parameters, or not in the loss."""

    name = "weight decay: coupled, with a half or on other parameters"
    remedy = (
        "weight_decay of torch.optim adds lambda w to gradients, which is the gradient of "
        "lambda / 2 |w|^2, as tf.nn.l2_loss has it. In Keras, regularizers.L2 is lambda |w|^2; "
        "torch.optim and optax decay biases too unless parameter groups or a mask leave them out"
    )

    def hypotheses(self, points: Sequence[Point], facts: Facts) -> Iterator[Hypothesis]:
        off = _off(points)
        p = points[-1]
        pairs = [(p.gradients[n] - p.reference[n], p.params[n]) for n in off]
        c = _common([factor_of(a.astype(np.float64), b.astype(np.float64)) for a, b in pairs])
        if c is None:
            return
        said = self._said(c, off, facts)
        grown = [
            {**q.expected} | {n: q.reference[n] + c * q.params[n].astype(np.float64) for n in off}
            for q in points
        ]
        yield f"{said}, in the gradients and not in the loss", grown
        losses = [q.reference_loss + c / 2 * _squares(q, off) for q in points]
        yield said, [t | {LOSS: np.array([v])} for t, v in zip(grown, losses, strict=True)]

    def _said(self, c: float, off: Sequence[str], facts: Facts) -> str:
        """A coefficient in words: it is that of lambda w in what gradients differ by."""
        names = _listed(off)
        for name, value in facts.constants.items():
            if value and abs(c + value) <= 1e-6 * abs(value):
                return f"the penalty {name} of {names} has a half"
            if value and abs(c + 2 * value) <= 1e-6 * abs(value):
                return f"the penalty {name} of {names} is missing"
            if value and abs(c - 2 * value) <= 1e-6 * abs(value):
                return f"{names} is in the penalty {name} too, or twice"
        return f"there is {c:.6g} w more in the gradient of {names}"


class PenaltyNotInLoss(GradientCause):
    """A penalty whose gradients are there, and the loss leaves it out."""

    name = "weight decay: in the gradients, not in the loss"
    remedy = "weight_decay of torch.optim and optax acts on gradients; the loss does not show it"

    def hypotheses(self, points: Sequence[Point], facts: Facts) -> Iterator[Hypothesis]:
        if _off(points):
            return
        kernels = [n for n, a in points[0].params.items() if a.ndim > 1][:MOST_KERNELS]
        sets = chain.from_iterable(combinations(kernels, k) for k in range(1, len(kernels) + 1))
        squares = [{n: _squares(p, [n]) for n in kernels} for p in points]
        for names in sets:
            for constant, value in facts.constants.items():
                for factor in (value, value / 2):
                    missing = [factor * sum(s[n] for n in names) for s in squares]
                    yield (
                        f"the loss leaves out the penalty {constant} of {_listed(names)}",
                        [
                            {**p.expected} | {LOSS: np.array([p.reference_loss - m])}
                            for p, m in zip(points, missing, strict=True)
                        ],
                    )


CAUSES: tuple[GradientCause, ...] = (
    SumForMean(),
    PathDropped(),
    TiedBiases(),
    Penalty(),
    PenaltyNotInLoss(),
)
"""All that are known."""


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _squares(point: Point, leaves: Sequence[str]) -> float:
    return sum(float(np.square(point.params[n].astype(np.float64)).sum()) for n in leaves)


def _common(factors: Sequence[float]) -> float | None:
    """The number that all are, but for rounding; None if there is none."""
    known = [k for k in factors if math.isfinite(k)]
    if not known or max(known) - min(known) > 1e-6 * abs(known[0]) or not known[0]:
        return None
    return known[0]


def difference_of(points: Sequence[Point], allowed: float) -> Difference:
    """How the losses and gradients of all points differ, by ``point/leaf``."""
    own = merged([p.results for p in points])
    return Difference(own, merged([p.expected for p in points]), allowed)


def explanations(
    points: Sequence[Point], facts: Facts, allowed: float
) -> tuple[Difference, list[Explanation]]:
    """How losses and gradients differ, and the causes that explain it.

    ``allowed`` is the error that the proof allows of gradients.
    """
    difference = difference_of(points, allowed)
    if not difference.differing:
        return difference, []
    found = []
    for cause in CAUSES:
        for said, trees in cause.hypotheses(points, facts):
            rest = difference.rest(merged(trees))
            if difference.explains(rest):
                found.append(Explanation(cause.name, said, cause.remedy, rest))
    return difference, best(found)


def rounding_alone(points: Sequence[Point]) -> list[str]:
    """Leaves whose gradient is 0 in the reference, and rounding in a port: Adam and RMSprop make
    whole steps of it."""
    largest = max(float(np.abs(a).max(initial=0.0)) for a in points[0].reference.values())

    def is_rounding(a: Array) -> bool:
        return 0 < float(np.abs(a).max(initial=0.0)) < 1e-12 * largest

    return [
        n
        for n, a in points[0].reference.items()
        if not any(p.reference[n].any() for p in points) and is_rounding(points[0].gradients[n])
    ]
