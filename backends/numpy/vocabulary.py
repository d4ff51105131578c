"""Layers as wide as a vocabulary: embeddings, and the cross-entropy of logits tied to them.

Notation as in ``layers``; V words of the vocabulary.
"""

from __future__ import annotations

from backends.numpy.arrays import ROWS, xp
from backends.numpy.layers import Saved
from backends.numpy.scatter import add_rows
from tasks.task import Array


def embedding(words: Array, w: Array) -> tuple[Array, Saved]:
    """y = sqrt(width) w[words], for words (n,) and w (V, width); y (n, width).

    Vaswani et al. 2017, section 3.4.
    """
    y = w.take(words, axis=0)
    y *= w.shape[1] ** 0.5
    return y, (words,)


def embedding_backward(dy: Array, saved: Saved, dw: Array) -> None:
    """Adds the embedding's gradient to ``dw`` (V, width)."""
    (words,) = saved
    add_rows(dw, words, dy, dy.shape[1] ** 0.5)


def tied_logits(y: Array, w: Array, b: Array) -> Array:
    """z = y w^T + b (n, V) for y (n, width): w (V, width) is the embedding of the same words.

    Press & Wolf 2017.
    """
    z: Array = y @ w.T
    z += b
    return z


def cross_entropy(y: Array, w: Array, b: Array, targets: Array) -> Array:
    """-log softmax(z)[target] (n,) of the tied logits z."""
    _, _, logs, picked = _exponentials(y, w, b, targets)
    return logs - picked


def smoothed_cross_entropy(
    y: Array, w: Array, b: Array, targets: Array, smoothing: float
) -> tuple[Array, Saved]:
    """The mean over n of -[(1 - s) log p[target] + s / V sum over v of log p[v]], a scalar.

    p = softmax(z) of the tied logits z, for y (n, width) and targets (n,); s is the smoothing.
    Szegedy et al. 2016, section 7. The logits' sum is y times the sum of the rows of w.
    """
    e, norms, logs, picked = _exponentials(y, w, b, targets)
    sums = y @ w.sum(axis=0) + b.sum()
    losses = logs - (1 - smoothing) * picked - (smoothing / len(w)) * sums
    return losses.mean(), (y, w, e, norms, targets, smoothing)


def smoothed_cross_entropy_backward(dloss: float, saved: Saved) -> tuple[Array, Array, Array]:
    """dy (n, width), dw (V, width) and db (V,), by dz = dloss / n (p - (1 - s) onehot - s / V).

    dz, as wide as the vocabulary, is never made: w and y are multiplied by its terms one by one.
    """
    y, w, e, norms, targets, smoothing = saved
    c, kept, even = dloss / len(y), 1 - smoothing, smoothing / len(w)
    dy: Array = e @ w
    dy /= norms[:, None]
    dy -= even * w.sum(axis=0)
    dy -= kept * w[targets]
    dy *= c
    weights = c / norms
    dw: Array = e.T @ (y * weights[:, None])
    dw -= (c * even) * y.sum(axis=0)
    add_rows(dw, targets, y, -c * kept)
    db: Array = weights @ e
    db -= c * even * len(y)
    xp.add.at(db, targets, -c * kept)
    return dy, dw, db


def _exponentials(
    y: Array, w: Array, b: Array, targets: Array
) -> tuple[Array, Array, Array, Array]:
    """Exponentials of the tied logits z (n, V), less the largest of each row, and their sums (n,).

    Further, of z itself, the logarithms of the sums of exp z, and z[target], each (n,). The passes
    after the product run over few rows at a time, which stay in the processor's cache.
    """
    z = y @ w.T
    norms, logs, picked = xp.empty((3, len(z)), z.dtype)
    for start in range(0, len(z), ROWS):
        part = slice(start, start + ROWS)
        block = z[part]
        block += b
        picked[part] = xp.take_along_axis(block, targets[part, None], axis=1)[:, 0]
        logs[part] = top = block.max(axis=1)
        block -= top[:, None]
        xp.exp(block, out=block)
        block.sum(axis=1, out=norms[part])
    logs += xp.log(norms)
    return z, norms, logs, picked
