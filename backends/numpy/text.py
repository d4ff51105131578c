"""Layers on words, as pairs of pure functions like those of ``layers``."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from backends.numpy.layers import Saved
from suite.contract import Array


def bag_dense(words: Array, offsets: Array, w: Array, b: Array) -> tuple[Array, Saved]:
    """y = x w + b for bags of words x (n, vocabulary); w (vocabulary, out), b (out,); y (n, out).

    x counts words: bag i holds ``words[offsets[i]:offsets[i + 1]]``. It is kept as a sparse matrix,
    some 1% of whose entries are not 0.
    """
    count = offsets[-1]
    shape = (len(offsets) - 1, len(w))
    x = csr_array((np.ones(count, w.dtype), words[:count], offsets), shape=shape)
    y = x @ w
    y += b
    return y, (x,)


def bag_dense_backward(dy: Array, saved: Saved) -> tuple[Array, Array]:
    """dw = x^T dy (vocabulary, out), db = sum over n of dy (out,)."""
    (x,) = saved
    return x.T @ dy, dy.sum(axis=0)


def embedding_max(words: Array, w: Array) -> tuple[Array, Saved]:
    """y[i, c] = max over j of w[words[i, j], c]; words (n, length), w (vocabulary, channels).

    y (n, channels). The words come first in memory, so that the maximum runs over whole rows.
    """
    by_place = words.T  # (length, n)
    e = w.take(by_place, axis=0)  # (length, n, channels)
    y = e.max(axis=0)
    return y, (by_place, e, y, w.shape)


def embedding_max_backward(dy: Array, saved: Saved) -> Array:
    """dw: dy goes to the row of the winning word alone; of equal ones, to the last."""
    by_place, e, y, shape = saved
    channels = shape[1]
    hits = np.flatnonzero(e == y)  # of (length, n, channels), in this order
    winner = np.empty(y.size, np.intp)
    winner[hits % y.size] = by_place.reshape(-1)[hits // channels]
    entries = winner.reshape(y.shape) * channels + np.arange(channels)
    dw = np.zeros(shape, dy.dtype)
    np.add.at(dw.reshape(-1), entries.reshape(-1), dy.reshape(-1))
    return dw
