"""Families of normalisations.

Defaults were read in torch 2.13, Keras 3.15, JAX 0.10 and the documentation of Flax.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from suite.causes.operations import Family, Operation, Variant
from tasks.task import Array

EPSILONS = (1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12, 0.0)
Form = Callable[[Array, float], Array]
"""From a mean of squares and an epsilon to the divisor."""
FORMS: dict[str, Form] = {
    "inside the root": lambda v, e: np.sqrt(v + e),
    "outside the root": lambda v, e: np.sqrt(v) + e,
}


def _normalized(x: Array, axes: tuple[int, ...]) -> Iterator[Variant]:
    """x (..., C) without its mean, by its deviation, over ``axes``, in every form."""
    count = math.prod(x.shape[axis] for axis in axes)
    centred = x - x.mean(axis=axes, keepdims=True)
    squares = np.square(centred).sum(axis=axes, keepdims=True)
    for less, word in ((0, "biased"), (1, "unbiased")):
        if count <= less:
            continue
        for form, divisor in FORMS.items():
            for e in EPSILONS:
                with np.errstate(invalid="ignore", divide="ignore"):
                    y = centred / divisor(squares / (count - less), e)
                yield f"epsilon {e:g} {form} of the {word} variance", y
    root = np.sqrt(np.square(x).mean(axis=axes, keepdims=True) + 1e-6)
    yield "the root of the mean square (RMSNorm)", x / root


def _is_norm(op: Operation) -> bool:
    """Tells if it is one by its name or by its parameters, whatever a user calls it."""
    return "norm" in op.name or op.leaf("scale") is not None or op.leaf("offset") is not None


def _affine(op: Operation, y: Array) -> Array:
    scale, offset = op.leaf("scale"), op.leaf("offset")
    return (y if scale is None else y * scale) + (0.0 if offset is None else offset)


class LayerNorm(Family):
    """Layer normalisation over the last axis."""

    name = "layer norm: epsilon or variance"
    remedy = (
        "epsilon is 1e-5 in torch.nn.LayerNorm (eps), 1e-3 in Keras' LayerNormalization, 1e-6 in "
        "flax.linen.LayerNorm; all take the biased variance with epsilon inside the root"
    )

    def variants(self, op: Operation) -> Iterator[Variant]:
        if _is_norm(op):
            for _, x in op.like():
                for said, y in _normalized(x, (x.ndim - 1,)):
                    yield said, _affine(op, y)
                yield "no normalisation", x


class BatchNorm(Family):
    """Batch normalisation over all axes but the last."""

    name = "batch norm: epsilon or variance"
    remedy = (
        "epsilon is 1e-5 in torch.nn.BatchNorm1d (eps) and flax.linen.BatchNorm, 1e-3 in Keras' "
        "BatchNormalization; all normalise by the biased variance"
    )

    def variants(self, op: Operation) -> Iterator[Variant]:
        if _is_norm(op) and op.leaf("mean") is None:
            for _, x in op.like():
                if x.ndim > 1:
                    for said, y in _normalized(x, tuple(range(x.ndim - 1))):
                        yield said, _affine(op, y)


class UnitLength(Family):
    """Vectors of the last axis that are brought to the length 1, or the root of their width."""

    name = "L2 normalisation: epsilon, or none"
    remedy = (
        "torch.nn.functional.normalize has max(norm, 1e-12); the epsilon of tf.math.l2_normalize is"
        " of the square, max(square, 1e-12); by hand it is often added to the norm"
    )

    def variants(self, op: Operation) -> Iterator[Variant]:
        for _, x in op.like():
            square = np.square(x).sum(axis=-1, keepdims=True)
            norm, width = np.sqrt(square), x.shape[-1] ** 0.5
            divisors: dict[str, Array] = {"no normalisation": np.ones_like(norm)}
            for e in (1e-12, 1e-10, 1e-8, 1e-6, 1e-5):
                divisors |= {
                    f"norms at least {e:g}": np.maximum(norm, e),
                    f"squared norms at least {e:g}": np.sqrt(np.maximum(square, e)),
                    f"{e:g} added to the norm": norm + e,
                    f"{e:g} added to the squared norm": np.sqrt(square + e),
                }
            for said, divisor in divisors.items():
                yield said, x / divisor
                yield f"{said}, times the root of the width", width * x / divisor
