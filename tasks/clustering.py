"""k-means and how well a clustering matches known classes, by scikit-learn and SciPy.

In float64 and on one thread, whatever a backend set up: the order of summation, and with it the
clustering, would depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tasks.task import Array

BLOCK = 10_000
"""Points compared with the centres at a time: their distances stay in the processor's cache."""


def kmeans(points: Array, clusters: int, starts: int, seed: int) -> tuple[Array, Array]:
    """Centres (clusters, d) and assignment (n,) of points (n, d): the best of ``starts`` runs.

    Every run starts from centres by k-means++ (Arthur & Vassilvitskii 2007).
    """
    from sklearn.cluster import KMeans  # slow to import; a list of tasks needs no k-means
    from threadpoolctl import threadpool_limits

    found = KMeans(clusters, init="k-means++", n_init=starts, random_state=seed)
    with threadpool_limits(1):
        found.fit(points.astype(np.float64))
    return found.cluster_centers_, found.labels_


def nearest(points: Array, centres: Array) -> Array:
    """The index (n,) of the centre nearest to each point, for points (n, d), centres (k, d)."""
    half = (centres.astype(np.float64) ** 2).sum(axis=1) / 2
    # |p - c|^2 = |p|^2 - 2 (p c - |c|^2 / 2): the nearest has the largest p c - |c|^2 / 2
    blocks = [
        (points[start : start + BLOCK].astype(np.float64) @ centres.T - half).argmax(axis=1)
        for start in range(0, len(points), BLOCK)
    ]
    return np.concatenate(blocks).astype(np.int32)


def means(points: Array, assignment: Array, centres: Array) -> Array:
    """Every cluster's mean (k, d): Lloyd's update. A cluster without points keeps its centre."""
    clusters, channels = centres.shape
    counts = np.bincount(assignment, minlength=clusters)[:, None]
    sums = [np.bincount(assignment, points[:, j], clusters) for j in range(channels)]
    found: Array = np.where(counts > 0, np.stack(sums, axis=1) / np.maximum(counts, 1), centres)
    return found


def agreement(labels: Array, assignment: Array) -> Mapping[str, float]:
    """``nmi``, ``ari`` and ``acc`` of a clustering (n,) against labels (n,), all 1 at best.

    ``nmi``: mutual information over the mean of both entropies; ``ari``: Hubert & Arabie 1985;
    ``acc``: the share of samples whose cluster is matched with their class, one to one, in the
    best of all matchings (Kuhn 1955).
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    table = np.zeros((labels.max() + 1, assignment.max() + 1))
    np.add.at(table, (labels, assignment), 1)
    matched = table[linear_sum_assignment(table, maximize=True)].sum()
    return {
        "nmi": float(normalized_mutual_info_score(labels, assignment)),
        "ari": float(adjusted_rand_score(labels, assignment)),
        "acc": float(matched / len(labels)),
    }
