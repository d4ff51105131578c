"""Data sets that a formula makes: points of the plane, with a label or a value each.

The specification of their tasks gives the formula: they are the real data, not stand-ins for other
ones, and have the same bits everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks import exact
from tasks.task import Array, Provenance

SEPARATOR = (0.6, -0.8, 0.2)
"""The line 0.6 x - 0.8 y + 0.2 = 0 that separates the classes. Its normal (0.6, -0.8) has length 1,
so that what stands before the = is a point's distance from it, with a sign."""
GAP = 0.1
"""No point lies nearer to the line than this."""
NOISE = 0.5
"""Standard deviation of the noise of ``cubic``; its square, .25, is the least squared error."""


@dataclass(frozen=True)
class Plane:
    """By split, ``inputs`` (n, 2) and ``targets`` (n,), both float32."""

    inputs: Mapping[str, Array]
    targets: Mapping[str, Array]
    provenance: Provenance


def separable(sizes: Mapping[str, int]) -> Plane:
    """Points of the square [-1, 1]^2 with a label 0 or 1, which a line separates.

    By split, as many as ``sizes`` says, uniform but for the band along the line, which is empty.
    """
    rng = np.random.default_rng(0)
    inputs, labels = {}, {}
    for split, count in sizes.items():
        drawn = exact.uniform(rng, -1, 1, (2 * count, 2)).astype(np.float32)
        distances = distance(drawn)
        kept = np.flatnonzero(np.abs(distances) >= GAP)[:count]
        inputs[split], labels[split] = drawn[kept], (distances[kept] > 0).astype(np.float32)
    return _plane("points", inputs, labels)


def distance(points: Array) -> Array:
    """Distances (n,) of ``points`` (n, 2) from the line, positive on the side of label 1."""
    across, along, offset = SEPARATOR
    x, y = points.astype(np.float64).T
    return np.asarray(across * x + along * y + offset)


def exclusive_or() -> Plane:
    """The four points of {0, 1}^2, of label 1 where one coordinate is 1 and the other is not.

    To train on and to be tested on: there are no others.
    """
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    labels = np.array([0, 1, 1, 0], np.float32)
    splits = ("train", "test")
    return _plane("points", dict.fromkeys(splits, corners), dict.fromkeys(splits, labels))


def cubic(sizes: Mapping[str, int]) -> Plane:
    """Inputs of N(0, 1) each, and y = 2 x0^3 + x1^2 / 2 + noise of N(0, NOISE^2).

    The normal numbers are sums of twelve uniform ones (``exact.bell``), whose bits are the same
    everywhere.
    """
    rng = np.random.default_rng(0)
    inputs, values = {}, {}
    for split, count in sizes.items():
        inputs[split] = _standard(rng, (count, 2)).astype(np.float32)
        x0, x1 = inputs[split].astype(np.float64).T
        noise = NOISE * _standard(rng, (count,))
        values[split] = (2 * (x0 * x0 * x0) + (x1 * x1) / 2 + noise).astype(np.float32)
    return _plane("cubic", inputs, values)


def _standard(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """About N(0, 1), all in [-6, 6)."""
    return np.asarray(12 * exact.bell(rng, shape) - 6)


def _plane(name: str, inputs: Mapping[str, Array], targets: Mapping[str, Array]) -> Plane:
    digest = hashlib.sha256()
    for split in inputs:
        digest.update(inputs[split].tobytes() + targets[split].tobytes())
    return Plane(inputs, targets, Provenance(name, "real", digest.hexdigest()))
