"""The similarity graph, against its formulas written out point by point."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tasks.spectral import normalized_similarity
from tasks.task import Array


def written_out(points: Array, neighbours: int) -> Array:
    n = len(points)
    distance = np.array([[np.linalg.norm(p - q) for q in points] for p in points])
    scale = [np.sort(row)[neighbours] for row in distance]  # the nearest of all is the point itself
    w = np.zeros((n, n))
    for i, j in itertools.permutations(range(n), 2):
        w[i, j] = np.exp(-(distance[i, j] ** 2) / (scale[i] * scale[j]))
    d = w.sum(axis=1)
    return np.array([[w[i, j] / np.sqrt(d[i] * d[j]) for j in range(n)] for i in range(n)])


@pytest.mark.parametrize("neighbours", [3, 7, 12])
def test_it_is_what_the_formulas_say(neighbours: int) -> None:
    points = np.random.default_rng(neighbours).random((30, 4))
    found = normalized_similarity(points, neighbours)
    np.testing.assert_allclose(found, written_out(points, neighbours), rtol=1e-9, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_it_is_symmetric_of_norm_one_and_knows_no_scale(seed: int, factor: float) -> None:
    points = np.random.default_rng(seed).random((25, 3))
    found = normalized_similarity(points, 5)
    np.testing.assert_array_equal(found, found.T)
    assert not np.diagonal(found).any()
    # its largest eigenvalue is 1: D^-1/2 W D^-1/2 is similar to the transition matrix D^-1 W
    assert np.linalg.eigvalsh(found)[-1] == pytest.approx(1)
    scaled = normalized_similarity(factor * points, 5)
    np.testing.assert_allclose(scaled, found, rtol=1e-7, atol=1e-10)
