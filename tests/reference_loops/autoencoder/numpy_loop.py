"""NumPy by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tasks.task import Array

LR, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8


def prepare(chunk: Mapping[str, Array], params: Mapping[str, Array]) -> Callable[[], object]:
    weights = [np.array(a) for a in params.values()]
    w1, b1, w2, b2, w3, b3, w4, b4 = weights
    ms, vs, scratch = ([np.zeros_like(w) for w in weights] for _ in range(3))
    made = 0

    def step(x: Array, c: Array, penalty: float) -> float:
        h = x @ w1
        h += b1
        np.maximum(h, 0, out=h)
        a = h @ w2
        a += b2
        norm = np.sqrt((a * a).sum(axis=1, keepdims=True) / a.shape[1])
        z = a / norm  # of length sqrt(10)
        k = z @ w3
        k += b3
        np.maximum(k, 0, out=k)
        e = k @ w4
        e += b4
        e -= x
        away = z - c
        loss = float((np.vdot(e, e) + penalty * np.vdot(away, away)) / len(x))
        e *= 2 / len(x)
        dk = e @ w4.T
        dk *= k > 0
        dz = dk @ w3.T
        dz += (2 / len(x) * penalty) * away
        da = (dz - z * ((z * dz).sum(axis=1, keepdims=True) / z.shape[1])) / norm
        dh = da @ w2.T
        dh *= h > 0
        adam([x.T @ dh, dh.sum(0), h.T @ da, da.sum(0), z.T @ dk, dk.sum(0), k.T @ e, e.sum(0)])
        return loss

    def adam(gradients: list[Array]) -> None:
        nonlocal made
        made += 1
        root = (1 - BETA2**made) ** 0.5
        rate = LR * root / (1 - BETA1**made)
        for p, m, v, g, t in zip(weights, ms, vs, gradients, scratch, strict=True):
            np.multiply(g, g, out=t)
            t *= 1 - BETA2
            v *= BETA2
            v += t
            np.multiply(g, 1 - BETA1, out=t)
            m *= BETA1
            m += t
            np.sqrt(v, out=t)
            t += EPS * root
            np.divide(m, t, out=t)
            t *= rate
            p -= t

    batches = list(zip(chunk["inputs"], chunk["centres"], chunk["penalty"].tolist(), strict=True))
    return lambda: [step(*batch) for batch in batches]
