"""NumPy by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tasks.task import Array, Tree

LR = 1e-2


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    weights = [np.array(a) for a in params.values()]
    w1, b1, w2, b2, w3, b3 = weights

    def step(x: Array, y: Array) -> float:
        h1 = x @ w1
        h1 += b1
        np.maximum(h1, 0, out=h1)
        h2 = h1 @ w2
        h2 += b2
        np.maximum(h2, 0, out=h2)
        errors = (h2 @ w3)[:, 0] + b3 - y
        loss = float((errors @ errors) / len(y))
        dz = (2 / len(y) * errors)[:, None]
        dh2 = dz @ w3.T
        dh2 *= h2 > 0
        dh1 = dh2 @ w2.T
        dh1 *= h1 > 0
        gradients = [x.T @ dh1, dh1.sum(0), h1.T @ dh2, dh2.sum(0), h2.T @ dz, dz.sum(0)]
        for p, g in zip(weights, gradients, strict=True):
            g *= LR
            p -= g
        return loss

    batches = list(zip(chunk["inputs"], chunk["values"], strict=True))
    return lambda: [step(*batch) for batch in batches]
