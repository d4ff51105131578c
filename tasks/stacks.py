"""Stacks of dense layers with one output over points of the plane: parameters and a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from tasks.initializers import zeros
from tasks.task import Array, Heatmap, Leaf

GRID = 21
"""Points of a picture along each side."""
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]


def layer_names(count: int) -> tuple[str, ...]:
    """Names of so many hidden layers: ``hidden``, ``hidden2``, ..."""
    return tuple("hidden" if n == 1 else f"hidden{n}" for n in range(1, count + 1))


def params(widths: Sequence[int], draw: Draw) -> Mapping[str, Leaf]:
    """Kernels (in, out), drawn by ``draw``, and biases of 0 of layers of these ``widths``."""
    names = (*layer_names(len(widths) - 2), "output")
    found: dict[str, Leaf] = {}
    for name, (inputs, outputs) in zip(names, pairwise(widths), strict=True):
        found[f"{name}.kernel"] = Leaf((inputs, outputs), draw)
        found[f"{name}.bias"] = Leaf((outputs,), zeros)
    return found


def drawn_over_the_plane(
    values: Callable[[Array], Array], low: float, high: float, meaning: str
) -> Heatmap:
    """``values`` of points (n, 2), drawn over the square [low, high]^2; the first input to the
    right, the second upwards."""
    axis = np.linspace(low, high, GRID)
    x, y = np.meshgrid(axis, axis[::-1])
    points = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    drawn = np.asarray(values(points), np.float64).reshape(GRID, GRID)
    labels = tuple(f"{value:.2f}" for value in axis)
    return Heatmap(labels[::-1], labels, drawn, meaning)
