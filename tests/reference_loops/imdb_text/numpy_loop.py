"""NumPy by hand, the bags as SciPy's sparse matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from tasks.task import Array, Tree

LR, RHO, EPS = 1e-3, 0.9, 1e-7


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    weights = [np.array(a) for a in params.values()]
    w1, b1, w2, b2, w3, b3 = weights
    averages = [np.zeros_like(w) for w in weights]
    scratch = [np.empty_like(w) for w in weights]
    labels = chunk["labels"]

    def step(words: Array, offsets: Array, y: Array) -> float:
        count = offsets[-1]
        ones = np.ones(count, np.float32)
        x = csr_array((ones, words[:count], offsets), shape=(len(y), len(w1)))
        h1 = x @ w1
        h1 += b1
        np.maximum(h1, 0, out=h1)
        h2 = h1 @ w2
        h2 += b2
        np.maximum(h2, 0, out=h2)
        z = (h2 @ w3 + b3)[:, 0]
        loss = float(np.logaddexp(0, z).mean() - (z * y).mean())
        dz = ((1 / (1 + np.exp(-z)) - y) / len(y))[:, None]
        dh2 = dz @ w3.T
        dh2 *= h2 > 0
        dh1 = dh2 @ w2.T
        dh1 *= h1 > 0
        gradients = [x.T @ dh1, dh1.sum(0), h1.T @ dh2, dh2.sum(0), h2.T @ dz, dz.sum(0)]
        for p, v, g, t in zip(weights, averages, gradients, scratch, strict=True):
            np.multiply(g, g, out=t)
            t *= 1 - RHO
            v *= RHO
            v += t
            np.add(v, EPS, out=t)
            np.sqrt(t, out=t)
            np.divide(g, t, out=t)
            t *= LR
            p -= t
        return loss

    batches = list(zip(chunk["words"], chunk["offsets"], labels, strict=True))
    return lambda: [step(*batch) for batch in batches]
