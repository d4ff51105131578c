"""Layers on words, as pairs of pure functions like those of ``layers``."""

from __future__ import annotations

from backends.numpy.arrays import xp
from backends.numpy.layers import Saved
from backends.numpy.scatter import bags, last_of
from tasks.task import Array


def bag_dense(
    words: Array, offsets: Array, w: Array, b: Array, values: Array | None = None
) -> tuple[Array, Saved]:
    """y = x w + b for bags of words x (n, vocabulary); w (vocabulary, out), b (out,); y (n, out).

    x counts words, each by its entry of ``values`` or as 1: bag i holds
    ``words[offsets[i]:offsets[i + 1]]``. It is kept as a sparse matrix, some 1% of whose entries
    are not 0.
    """
    count = int(offsets[-1])
    own = None if values is None else values[:count]
    x = bags(words[:count], offsets, len(w), w.dtype, own)
    y: Array = x @ w
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
    entries = last_of(e == y, by_place) * channels + xp.arange(channels)
    dw = xp.zeros(shape, dy.dtype)
    xp.add.at(dw.reshape(-1), entries.reshape(-1), dy.reshape(-1))
    return dw
