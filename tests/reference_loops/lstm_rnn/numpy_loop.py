"""NumPy by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tasks.task import Array, Tree
from tests.reference_loops.lstm.numpy_loop import H, adam


def back(dhs: Array, hs: Array, wh: Array) -> Array:
    """The gradient before tanh (T, n, H); hs (T + 1, n, H) are all hidden states."""
    wt = np.ascontiguousarray(wh.T)
    das = np.empty_like(dhs)
    dh, slope = np.zeros((2, *dhs[0].shape), np.float32)
    for t in reversed(range(len(dhs))):
        dh += dhs[t]
        np.multiply(hs[t + 1], hs[t + 1], out=slope)
        np.subtract(1, slope, out=slope)
        np.multiply(dh, slope, out=das[t])
        np.matmul(das[t], wt, out=dh)
    return das


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    weights = [np.array(a) for a in params.values()]
    e, wx, wh, b, wo, bo = weights
    m, v = ([np.zeros_like(w) for w in weights] for _ in range(2))
    inputs = np.ascontiguousarray(chunk["inputs"].transpose(0, 2, 1))
    targets = chunk["targets"].transpose(0, 2, 1).reshape(len(inputs), -1)
    rows, made = np.arange(targets.shape[1]), 0
    hs = np.empty((inputs.shape[1] + 1, inputs.shape[2], H), np.float32)
    one_hot = np.zeros((len(e), len(rows)), np.float32)

    def step(x: Array, y: Array, h: Array) -> tuple[float, Array]:
        nonlocal made
        made += 1
        hs[0], hs[1:] = h, (e @ wx + b)[x]
        for t in range(len(x)):
            hs[t + 1] += hs[t] @ wh
            np.tanh(hs[t + 1], out=hs[t + 1])
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
        da = back((p @ wo.T).reshape(hs[1:].shape), hs, wh).reshape(-1, H)
        one_hot[:] = 0
        one_hot[x.reshape(-1), rows] = 1
        table = one_hot @ da
        recurrent = [hs[:-1].reshape(-1, H).T @ da, table.sum(axis=0)]
        gradients = [table @ wx.T, e.T @ table, *recurrent, flat.T @ p, p.sum(axis=0)]
        adam(weights, gradients, m, v, made)
        return loss, hs[-1].copy()

    def run() -> object:
        h = np.zeros((inputs.shape[2], H), np.float32)
        losses = []
        for x, y in zip(inputs, targets, strict=True):
            loss, h = step(x, y, h)
            losses.append(loss)
        return losses

    return run
