"""NumPy by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse

from tasks.task import Array, Tree

LR, BETA1, BETA2, EPS, CLIP = 1e-2, 0.9, 0.999, 1e-8, 1.0
H = 256


def sigmoid(x: Array) -> None:
    """In place."""
    x *= 0.5
    np.tanh(x, out=x)
    x *= 0.5
    x += 0.5


def ahead(xs: Array, wh: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    """Turns xs (T, n, 4H) into gates; all hidden and cell states (T + 1, n, H), tanh of cells."""
    hs, cs = np.empty((2, len(xs) + 1, *h.shape), np.float32)
    ts, product, inflow = np.empty_like(cs[1:]), np.empty_like(xs[0]), np.empty_like(h)
    hs[0], cs[0] = h, c
    for t, a in enumerate(xs):
        a += np.matmul(hs[t], wh, out=product)
        sigmoid(a[:, : 2 * H])
        np.tanh(a[:, 2 * H : 3 * H], out=a[:, 2 * H : 3 * H])
        sigmoid(a[:, 3 * H :])
        np.multiply(a[:, H : 2 * H], cs[t], out=cs[t + 1])
        cs[t + 1] += np.multiply(a[:, :H], a[:, 2 * H : 3 * H], out=inflow)
        np.tanh(cs[t + 1], out=ts[t])
        np.multiply(a[:, 3 * H :], ts[t], out=hs[t + 1])
    return hs, cs, ts


def back(dhs: Array, gates: Array, cs: Array, ts: Array, wh: Array) -> Array:
    """The gradient of the gates before their activation, (T, n, 4H)."""
    wt = np.ascontiguousarray(wh.T)
    das = np.empty_like(gates)
    dh, dc, s = np.zeros((3, *dhs[0].shape), np.float32)
    for t in reversed(range(len(gates))):
        a, da = gates[t], das[t]
        i, f, g, o = (a[:, k * H : (k + 1) * H] for k in range(4))
        di, df, dg, do = (da[:, k * H : (k + 1) * H] for k in range(4))
        dh += dhs[t]
        np.multiply(dh, ts[t], out=do)
        dh *= o
        np.multiply(ts[t], ts[t], out=s)
        np.subtract(1, s, out=s)
        dc += np.multiply(dh, s, out=s)
        np.multiply(dc, g, out=di)
        np.multiply(dc, cs[t], out=df)
        np.multiply(dc, i, out=dg)
        np.multiply(g, g, out=s)
        dg *= np.subtract(1, s, out=s)
        for d, y in ((di, i), (df, f), (do, o)):
            np.subtract(1, y, out=s)
            d *= np.multiply(s, y, out=s)
        dc *= f
        np.matmul(da, wt, out=dh)
    return das


def adam(weights: list[Array], gradients: list[Array], m: Any, v: Any, step: int) -> None:
    norm = np.sqrt(sum(np.vdot(g, g) for g in gradients))
    root = np.sqrt(1 - BETA2**step)
    rate = np.float32(LR * root / (1 - BETA1**step))
    for p, g, mean, square in zip(weights, gradients, m, v, strict=True):
        g *= np.float32(min(1.0, CLIP / norm))
        t = g * g
        t *= 1 - BETA2
        square *= BETA2
        square += t
        g *= 1 - BETA1
        mean *= BETA1
        mean += g
        np.sqrt(square, out=t)
        t += np.float32(EPS * root)
        np.divide(mean, t, out=t)
        t *= rate
        p -= t


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    weights = [np.array(a) for a in params.values()]
    e, wx, wh, b, wo, bo = weights
    m, v = ([np.zeros_like(w) for w in weights] for _ in range(2))
    inputs = np.ascontiguousarray(chunk["inputs"].transpose(0, 2, 1))
    targets = chunk["targets"].transpose(0, 2, 1).reshape(len(inputs), -1)
    rows, made = np.arange(targets.shape[1]), 0

    def step(x: Array, y: Array, h: Array, c: Array) -> tuple[float, Array, Array]:
        nonlocal made
        made += 1
        gates = (e @ wx + b)[x]  # (T, n, 4H)
        hs, cs, ts = ahead(gates, wh, h, c)
        flat = hs[1:].reshape(-1, H)
        z = flat @ wo
        z += bo
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z)
        s = p.sum(axis=1, keepdims=True)
        loss = float((np.log(s[:, 0]) - z[rows, y]).mean())
        p /= s
        p[rows, y] -= 1
        p /= np.float32(len(y))
        da = back((p @ wo.T).reshape(hs[1:].shape), gates, cs, ts, wh).reshape(-1, 4 * H)
        picked = scipy.sparse.csc_array(
            (np.ones(len(rows), np.float32), x.reshape(-1), np.arange(len(rows) + 1)),
            shape=(len(e), len(rows)),
        )
        table = picked @ da
        before = hs[:-1].reshape(-1, H)
        recurrent = [before.T @ da, table.sum(axis=0)]
        gradients = [table @ wx.T, e.T @ table, *recurrent, flat.T @ p, p.sum(axis=0)]
        adam(weights, gradients, m, v, made)
        return loss, hs[-1], cs[-1]

    def run() -> object:
        h = c = np.zeros((inputs.shape[2], H), np.float32)
        losses = []
        for x, y in zip(inputs, targets, strict=True):
            loss, h, c = step(x, y, h, c)
            losses.append(loss)
        return losses

    return run
