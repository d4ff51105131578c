"""Multi-head attention and what it stands on: sentences of unequal length, their positions.

Notation: n sentences of up to T words, S the length of those attended to; heads of d columns each;
``rows`` the real words of all sentences, padding left out, one behind the other.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from backends.numpy.arrays import xp
from backends.numpy.layers import Saved
from tasks.task import Array


@functools.cache
def positions(length: int, width: int, dtype: Any) -> Array:
    """P (length, width): P[p, 2i] = sin(p / 10000^(2i / width)), P[p, 2i + 1] = cos of the same.

    Vaswani et al. 2017, section 3.5.
    """
    angles = np.arange(length)[:, None] / 10_000 ** (np.arange(0, width, 2) / width)
    table = np.empty((length, width))
    table[:, 0::2], table[:, 1::2] = np.sin(angles), np.cos(angles[:, : width // 2])
    cast = table.astype(dtype)
    cast.flags.writeable = False
    return xp.asarray(cast)


class Layout:
    """Where the real words of sentences stand: ``real`` (n, T) is true for them.

    Layers that work word by word are given the rows of those alone.
    """

    def __init__(self, real: Array):
        self.real = real
        self._rows = xp.flatnonzero(real)  # (rows,), which of the n T positions they are
        self.places = self._rows % real.shape[1]
        """The position of each word in its sentence, (rows,)."""

    def spread(self, x: Array) -> Array:
        """Rows (rows, channels) as sentences (n, T, channels), 0 where there is padding."""
        spread = xp.zeros((self.real.size, x.shape[1]), x.dtype)
        spread[self._rows] = x
        return spread.reshape(*self.real.shape, -1)

    def gather(self, x: Array) -> Array:
        """The way back of ``spread``: the rows of sentences (n, T, channels)."""
        return x.reshape(self.real.size, -1).take(self._rows, axis=0)


class Memory:
    """Keys and values of the padded source, which the layers of a decoder attend to.

    ``projected`` (n, S, layers 2 width) holds them side by side; ``gradients``, of the same shape,
    is filled on the way back.
    """

    def __init__(self, projected: Array, mask: Array, layers: int, heads: int):
        self.mask = mask
        self.gradients = xp.empty_like(projected)
        self._parts = split_heads(projected, 2 * layers, heads)
        self._gradients = split_heads(self.gradients, 2 * layers, heads)

    def keys_and_values(self, layer: int) -> list[Array]:
        """Keys and values of one layer, each (n, heads, S, d)."""
        return self._parts[2 * layer : 2 * layer + 2]

    def gradients_of(self, layer: int) -> list[Array]:
        """Where the gradients of its keys and values belong, views of ``gradients``."""
        return self._gradients[2 * layer : 2 * layer + 2]


def split_heads(x: Array, parts: int, heads: int) -> list[Array]:
    """The parts of x (n, T, parts heads d), as views (n, heads, T, d)."""
    n, length, _ = x.shape
    return list(x.reshape(n, length, parts, heads, -1).transpose(2, 0, 3, 1, 4))


def padding_mask(real: Array, dtype: Any) -> Array:
    """0 where a key is ``real`` (n, S), else -inf, for all queries and heads; (n, 1, 1, S)."""
    return xp.where(real, 0, -xp.inf).astype(dtype)[:, None, None]


def causal_mask(length: int, dtype: Any) -> Array:
    """0 where query i may see key j <= i, else -inf; (T, T)."""
    return xp.where(xp.tri(length, dtype=bool), 0, -xp.inf).astype(dtype)


def attention(q: Array, k: Array, v: Array, mask: Array | None) -> tuple[Array, Saved]:
    """y = softmax(q k^T / sqrt(d) + mask) v, head by head.

    Vaswani et al. 2017, equation 1. q (n, heads, T, d), k and v (n, heads, S, d), a mask that
    broadcasts to (n, heads, T, S) and leaves every query a key; y (n, T, heads d).
    """
    n, heads, length, d = q.shape
    p = q @ k.swapaxes(2, 3)  # (n, heads, T, S)
    p *= d**-0.5
    if mask is not None:
        p += mask
    # over short rows, NumPy's maximum takes longer than to move their axis to the front
    p -= xp.ascontiguousarray(p.transpose(3, 0, 1, 2)).max(axis=0)[..., None]
    xp.exp(p, out=p)
    p /= p @ xp.ones((p.shape[3], 1), p.dtype)
    y = xp.empty((n, length, heads * d), p.dtype)
    xp.matmul(p, v, out=split_heads(y, 1, heads)[0])
    return y, (p, q, k, v)


def attention_backward(dy: Array, saved: Saved, out: Sequence[Array]) -> None:
    """dq, dk and dv into ``out``, of the shapes of q, k and v, from dy (n, T, heads d).

    ds = p (dp - sum over S of p dp) for s = q k^T / sqrt(d) + mask, p = softmax(s), dp = dy v^T.
    """
    p, q, k, v = saved
    dq, dk, dv = out
    (dy,) = split_heads(dy, 1, p.shape[1])
    xp.matmul(p.swapaxes(2, 3), dy, out=dv)
    ds = dy @ v.swapaxes(2, 3)
    ds -= xp.einsum("...s,...s->...", p, ds)[..., None]
    ds *= p
    ds *= q.shape[3] ** -0.5
    xp.matmul(ds, k, out=dq)
    xp.matmul(ds.swapaxes(2, 3), q, out=dk)
