"""k-means, assignment, Lloyd's update and the scores, against the definitions written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn.metrics import normalized_mutual_info_score
from threadpoolctl import threadpool_limits

from tasks import clustering

sizes = st.integers(1, 9)
seeds = st.integers(0, 2**32 - 1)


def test_kmeans_finds_separate_groups_and_gives_the_same_bits_on_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    own = np.arange(600) % 3
    points = (np.eye(3)[own] + 0.05 * rng.standard_normal((600, 3))).astype(np.float32)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(clustering.kmeans(points, 3, 5, seed=0))
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
    centres, assignment = found[0]
    assert centres.shape == (3, 3)
    assert clustering.agreement(own, assignment)["acc"] == 1


@given(seeds, st.integers(1, 40), sizes, sizes)
def test_nearest_is_the_nearest(seed: int, n: int, clusters: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    points, centres = rng.random((n, channels)), rng.random((clusters, channels))
    found = clustering.nearest(points.astype(np.float32), centres)
    distances = np.linalg.norm(points.astype(np.float32)[:, None] - centres, axis=2)
    np.testing.assert_array_equal(found, distances.argmin(axis=1))


def test_nearest_goes_through_many_points_in_blocks() -> None:
    points = np.repeat(np.eye(4, dtype=np.float32), clustering.BLOCK // 2 - 1, axis=0)
    found = clustering.nearest(points, np.eye(4))
    np.testing.assert_array_equal(found, points.argmax(axis=1))


@given(seeds, st.integers(1, 40), sizes, sizes)
def test_means_are_those_of_the_members(seed: int, n: int, clusters: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    points, centres = rng.random((n, channels)), rng.random((clusters, channels))
    assignment = rng.integers(0, clusters, n)
    found = clustering.means(points, assignment, centres)
    for k in range(clusters):
        members = points[assignment == k]
        expected = members.mean(axis=0) if len(members) else centres[k]
        np.testing.assert_allclose(found[k], expected)


@given(seeds, st.integers(2, 30), st.integers(1, 5), st.integers(1, 5))
def test_agreement(seed: int, n: int, classes: int, clusters: int) -> None:
    rng = np.random.default_rng(seed)
    labels, assignment = rng.integers(0, classes, n), rng.integers(0, clusters, n)
    found = clustering.agreement(labels, assignment)
    k = max(classes, clusters)
    best = max(
        (np.array(order)[assignment] == labels).mean() for order in itertools.permutations(range(k))
    )
    assert found["acc"] == pytest.approx(best)
    assert found["nmi"] == pytest.approx(normalized_mutual_info_score(labels, assignment))
    renamed = clustering.agreement(labels, rng.permutation(clusters)[assignment])
    assert renamed == pytest.approx(found)
    perfect = clustering.agreement(labels, rng.permutation(classes)[labels])
    assert perfect == pytest.approx({"nmi": 1, "ari": 1, "acc": 1})
