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


def pair_logits(words: Array, contexts: Array, v: Array, u: Array) -> tuple[Array, Saved]:
    """z[i, j] = v[words[i]] . u[contexts[i, j]] for words (n,) and contexts (n, m), z (n, m).

    Tables v and u are (rows, channels).
    """
    chosen = v.take(words, axis=0)
    z: Array = xp.einsum("nc,nmc->nm", chosen, u.take(contexts, axis=0))
    return z, (words, contexts, chosen, u)


def pair_logits_backward(dz: Array, saved: Saved) -> tuple[Array, Array]:
    """Gradients dv and du (rows, channels) of the tables.

    With the matrix a (n, rows) that has dz[i, j] in row i where contexts[i, j] is its column,
    du = a^T v[words], and a u is the gradient of v[words]. It is sparse: no row of u is copied.
    """
    words, contexts, chosen, u = saved
    n, m = contexts.shape
    a = bags(contexts.reshape(-1), xp.arange(n + 1) * m, len(u), dz.dtype, dz.reshape(-1))
    places = bags(words, xp.arange(n + 1), len(u), dz.dtype)
    return places.T @ (a @ u), a.T @ chosen


def negative_sampling(z: Array) -> tuple[Array, Saved]:
    """Mean over n of -log sigmoid(z[0]) - sum over j > 0 of log sigmoid(-z[j]), for z (n, m).

    As sums of log(1 + e^x), in which no exponential overflows.
    """
    x = z.copy()
    xp.negative(x[:, 0], out=x[:, 0])
    e = xp.exp(-xp.abs(x))
    loss = (xp.maximum(x, 0) + xp.log1p(e)).sum() / len(z)
    return loss, (x, e)


def negative_sampling_backward(dloss: float, saved: Saved) -> Array:
    """dz = dloss (sigmoid(z) - 1) / n for z[0], dloss sigmoid(z) / n for the others, (n, m)."""
    x, e = saved
    dz: Array = xp.where(x < 0, e, 1) / (1 + e)
    dz *= dloss / len(x)
    xp.negative(dz[:, 0], out=dz[:, 0])
    return dz
