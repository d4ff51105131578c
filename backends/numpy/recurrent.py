"""The LSTM layer, forward and backward.

Notation: T steps, n rows of the batch, H units; ``h`` hidden state, ``c`` cell state, both (n, H);
gates i (input), f (forget), g (candidate), o (output), side by side in this order in 4H columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from suite.contract import Array

Saved = tuple[Any, ...]


def _sigmoid_by_tanh(units: int, dtype: Any) -> tuple[Array, Array]:
    """Factors and offsets (4H,) that make all four gates one tanh.

    sigmoid(x) = tanh(x / 2) / 2 + 1/2, and multiplying by 1/2 is exact.
    """
    factor, offset = np.full((4, units), 0.5, dtype), np.full((4, units), 0.5, dtype)
    factor[2], offset[2] = 1, 0
    return factor.reshape(-1), offset.reshape(-1)


def _gates(a: Array) -> tuple[Array, Array, Array, Array]:
    """Views (n, H) of i, f, g, o in ``a`` (n, 4H)."""
    i, f, g, o = a.reshape(len(a), 4, -1).swapaxes(0, 1)
    return i, f, g, o


def lstm(table: Array, ids: Array, w: Array, h0: Array, c0: Array) -> tuple[Array, Array, Saved]:
    """Hidden states (T, n, H) and the last cell state (n, H).

    ``table`` (rows, 4H) holds what each input adds to the gates, ``ids`` (T, n) which row is the
    input, ``w`` (H, 4H) is the recurrent kernel, ``h0`` and ``c0`` (n, H) the state before.

    a_t = table[ids_t] + h_{t-1} w;  i, f, o = sigmoid(a^{i,f,o}), g = tanh(a^g);
    c_t = f c_{t-1} + i g;  h_t = o tanh(c_t)
    (Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000).
    """
    steps, units = len(ids), len(w)
    factor, offset = _sigmoid_by_tanh(units, w.dtype)
    gates = (table * factor)[ids]  # (T, n, 4H)
    scaled = w * factor
    h = np.empty((steps + 1, *h0.shape), w.dtype)
    c, tanh_c = np.empty_like(h), np.empty_like(h[1:])
    h[0], c[0] = h0, c0
    product, inflow = np.empty_like(gates[0]), np.empty_like(h[0])
    for t in range(steps):
        a = gates[t]
        a += np.matmul(h[t], scaled, out=product)
        np.tanh(a, out=a)
        a *= factor
        a += offset
        i, f, g, o = _gates(a)
        np.multiply(f, c[t], out=c[t + 1])
        c[t + 1] += np.multiply(i, g, out=inflow)
        np.tanh(c[t + 1], out=tanh_c[t])
        np.multiply(o, tanh_c[t], out=h[t + 1])
    return h[1:], c[-1], (gates, h, c, tanh_c, ids, w, len(table))


def lstm_backward(dh: Array, saved: Saved) -> tuple[Array, Array]:
    """dtable (rows, 4H) and dw (H, 4H) from the gradients ``dh`` (T, n, H) of the hidden states.

    Back-propagation is truncated here: nothing is returned for h0 and c0.
    """
    gates, h, c, tanh_c, ids, w, rows = saved
    da = np.empty_like(gates)
    wt = np.ascontiguousarray(w.T)
    dh_t, dc = np.zeros_like(h[0]), np.zeros_like(h[0])
    scratch = np.empty_like(dc)
    for t in reversed(range(len(ids))):
        i, f, g, o = _gates(gates[t])
        di, df, dg, do = _gates(da[t])
        dh_t += dh[t]
        np.multiply(dh_t, tanh_c[t], out=do)
        dh_t *= o
        dc += _times_tanh_slope(dh_t, tanh_c[t], scratch)
        np.multiply(dc, i, out=dg)
        np.multiply(dg, _tanh_slope(g, scratch), out=dg)
        np.multiply(dc, g, out=di)
        np.multiply(dc, c[t], out=df)
        for d, gate in ((di, i), (df, f), (do, o)):
            np.subtract(1, gate, out=scratch)
            scratch *= gate
            d *= scratch
        dc *= f
        if t:
            np.matmul(da[t], wt, out=dh_t)
    flat = da.reshape(-1, da.shape[-1])  # (T n, 4H)
    dw = h[:-1].reshape(len(flat), -1).T @ flat
    return _sum_by_row(flat, ids.reshape(-1), rows), dw


def _tanh_slope(y: Array, out: Array) -> Array:
    """1 - y^2 for y = tanh(x), into ``out``."""
    np.multiply(y, y, out=out)
    return np.subtract(1, out, out=out)


def _times_tanh_slope(dy: Array, y: Array, out: Array) -> Array:
    return np.multiply(dy, _tanh_slope(y, out), out=out)


def _sum_by_row(values: Array, ids: Array, rows: int) -> Array:
    """(rows, columns): row r is the sum of those ``values`` (n, columns) whose id is r.

    A product with the sparse matrix (rows, n) that has a 1 where column j has the id of its row.
    """
    order = np.argsort(ids, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(ids, minlength=rows))])
    ones = np.ones(len(ids), values.dtype)
    total: Array = scipy.sparse.csr_array((ones, order, ends), shape=(rows, len(ids))) @ values
    return total
