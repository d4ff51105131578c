"""NumPy by hand, the sums of gradients by row as SciPy's sparse products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from tasks.task import Array, Tree

TOTAL, RATE, BETA1, BETA2, EPS = 6_000, 1e-2, 0.9, 0.999, 1e-8


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    v, u = weights = [np.array(a) for a in params.values()]
    moments = [(np.zeros_like(w), np.zeros_like(w)) for w in weights]
    n, m = chunk["contexts"].shape[1:]
    ones, each, ends = np.ones(n, np.float32), np.arange(n + 1), np.arange(n + 1) * m
    made = 0

    def step(words: Array, contexts: Array) -> float:
        nonlocal made
        own = v[words]
        z = np.einsum("nc,nmc->nm", own, u[contexts])
        z[:, 0] *= -1
        loss = float(np.logaddexp(0, z).sum() / n)
        dz = 1 / (1 + np.exp(-z))
        dz[:, 0] *= -1
        dz /= n
        a = csr_array((dz.ravel(), contexts.ravel(), ends), shape=(n, len(u)))
        places = csr_array((ones, words, each), shape=(n, len(v)))
        gradients = (places.T @ (a @ u), a.T @ own)
        rate = RATE * max(1 - made / TOTAL, 0)
        made += 1
        rate *= np.sqrt(1 - BETA2**made) / (1 - BETA1**made)
        epsilon = EPS * np.sqrt(1 - BETA2**made)
        for p, g, (first, second) in zip(weights, gradients, moments, strict=True):
            first += (1 - BETA1) * (g - first)
            second += (1 - BETA2) * (g * g - second)
            p -= np.float32(rate) * first / (np.sqrt(second) + np.float32(epsilon))
        return loss

    batches = list(zip(chunk["words"], chunk["contexts"], strict=True))
    return lambda: [step(*batch) for batch in batches]
