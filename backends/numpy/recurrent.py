"""The LSTM layer and the plain recurrent one, forward and backward.

Notation: T steps, n rows of the batch, H units; ``h`` hidden state, ``c`` cell state, both (n, H);
gates i (input), f (forget), g (candidate), o (output), side by side in this order in 4H columns.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from backends.numpy.arrays import xp
from backends.numpy.scatter import sum_by_row
from tasks.task import Array

Saved = tuple[Any, ...]


def _sigmoid_by_tanh(units: int, dtype: Any) -> tuple[Array, Array]:
    """Factors and offsets (4H,) that make all four gates one tanh.

    sigmoid(x) = tanh(x / 2) / 2 + 1/2, and multiplying by 1/2 is exact.
    """
    factor, offset = xp.full((4, units), 0.5, dtype), xp.full((4, units), 0.5, dtype)
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
    h = xp.empty((steps + 1, *h0.shape), w.dtype)
    c, tanh_c = xp.empty_like(h), xp.empty_like(h[1:])
    h[0], c[0] = h0, c0
    product, inflow = xp.empty_like(gates[0]), xp.empty_like(h[0])
    for t in range(steps):
        a = gates[t]
        a += xp.matmul(h[t], scaled, out=product)
        xp.tanh(a, out=a)
        a *= factor
        a += offset
        i, f, g, o = _gates(a)
        xp.multiply(f, c[t], out=c[t + 1])
        c[t + 1] += xp.multiply(i, g, out=inflow)
        xp.tanh(c[t + 1], out=tanh_c[t])
        xp.multiply(o, tanh_c[t], out=h[t + 1])
    return h[1:], c[-1], (gates, h, c, tanh_c, ids, w, len(table))


def lstm_backward(dh: Array, saved: Saved) -> tuple[Array, Array]:
    """dtable (rows, 4H) and dw (H, 4H) from the gradients ``dh`` (T, n, H) of the hidden states.

    Back-propagation is truncated here: nothing is returned for h0 and c0.
    """
    gates, h, c, tanh_c, ids, w, rows = saved
    da = xp.empty_like(gates)
    wt = xp.ascontiguousarray(w.T)
    dh_t, dc = xp.zeros_like(h[0]), xp.zeros_like(h[0])
    scratch = xp.empty_like(dc)
    for t in reversed(range(len(ids))):
        i, f, g, o = _gates(gates[t])
        di, df, dg, do = _gates(da[t])
        dh_t += dh[t]
        xp.multiply(dh_t, tanh_c[t], out=do)
        dh_t *= o
        dc += _times_tanh_slope(dh_t, tanh_c[t], scratch)
        xp.multiply(dc, i, out=dg)
        xp.multiply(dg, _tanh_slope(g, scratch), out=dg)
        xp.multiply(dc, g, out=di)
        xp.multiply(dc, c[t], out=df)
        for d, gate in ((di, i), (df, f), (do, o)):
            xp.subtract(1, gate, out=scratch)
            scratch *= gate
            d *= scratch
        dc *= f
        if t:
            xp.matmul(da[t], wt, out=dh_t)
    flat = da.reshape(-1, da.shape[-1])  # (T n, 4H)
    dw = h[:-1].reshape(len(flat), -1).T @ flat
    return sum_by_row(flat, ids.reshape(-1), rows), dw


def _tanh_slope(y: Array, out: Array) -> Array:
    """1 - y^2 for y = tanh(x), into ``out``."""
    xp.multiply(y, y, out=out)
    return xp.subtract(1, out, out=out)


def _times_tanh_slope(dy: Array, y: Array, out: Array) -> Array:
    return xp.multiply(dy, _tanh_slope(y, out), out=out)


def rnn(table: Array, ids: Array, w: Array, h0: Array) -> tuple[Array, Saved]:
    """Hidden states (T, n, H) of the plain recurrent network.

    ``table`` (rows, H) holds what each input adds, ``ids`` (T, n) which row is the input, ``w``
    (H, H) is the recurrent kernel, ``h0`` (n, H) the state before.

    h_t = tanh(table[ids_t] + h_{t-1} w)  (Elman, "Finding structure in time", 1990).
    """
    h = xp.empty((len(ids) + 1, *h0.shape), w.dtype)
    h[0] = h0
    h[1:] = table[ids]
    product = xp.empty_like(h[0])
    for before, a in pairwise(h):
        a += xp.matmul(before, w, out=product)
        xp.tanh(a, out=a)
    return h[1:], (h, ids, w, len(table))


def rnn_backward(dh: Array, saved: Saved) -> tuple[Array, Array]:
    """dtable (rows, H) and dw (H, H) from the gradients ``dh`` (T, n, H) of the hidden states.

    da_t = (dh_t + da_{t+1} w^T) (1 - h_t^2). Back-propagation is truncated here: nothing is
    returned for h0.
    """
    h, ids, w, rows = saved
    da = h[1:] * h[1:]
    xp.subtract(1, da, out=da)  # the slopes of tanh
    wt = xp.ascontiguousarray(w.T)
    total = dh[-1].copy()
    da[-1] *= total
    for t in reversed(range(len(da) - 1)):
        xp.matmul(da[t + 1], wt, out=total)
        total += dh[t]
        da[t] *= total
    flat = da.reshape(-1, da.shape[-1])  # (T n, H)
    dw = h[:-1].reshape(len(flat), -1).T @ flat
    return sum_by_row(flat, ids.reshape(-1), rows), dw
