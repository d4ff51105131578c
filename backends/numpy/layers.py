"""Layers as pairs of pure functions: ``layer(x, ...) -> y, saved`` and ``layer_backward``.

Notation: ``x`` input, ``y`` output, ``dy`` the gradient of the loss with respect to ``y``; shapes
in brackets, with n the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from suite.contract import Array

Saved = tuple[Any, ...]


def dense(x: Array, w: Array, b: Array) -> tuple[Array, Saved]:
    """y = x w + b, for x (n, in), w (in, out), b (out,); y (n, out)."""
    y = x @ w
    y += b
    return y, (x, w)


def dense_backward(dy: Array, saved: Saved) -> tuple[Array, Array, Array]:
    """dx = dy w^T (n, in), dw = x^T dy (in, out), db = sum over n of dy (out,)."""
    _, w = saved
    return dy @ w.T, *dense_backward_params(dy, saved)


def dense_backward_params(dy: Array, saved: Saved) -> tuple[Array, Array]:
    """dw and db alone: a first layer needs no dx, which would cost it half as much again."""
    x, _ = saved
    return x.T @ dy, dy.sum(axis=0)


def relu(x: Array, out: Array | None = None) -> tuple[Array, Saved]:
    """y = max(x, 0), any shape, into ``out``, which may be x."""
    y = np.maximum(x, 0, out=out)
    return y, (y,)


def relu_backward(dy: Array, saved: Saved, out: Array | None = None) -> Array:
    """dx = dy where x > 0, else 0 (0 at the kink too), into ``out``, which may be dy."""
    (y,) = saved
    dx: Array = np.multiply(dy, y > 0, out=out)
    return dx


def softmax_cross_entropy(z: Array, labels: Array) -> tuple[Array, Saved]:
    """Mean over n of -log softmax(z)[label], for logits z (n, classes), labels (n,); a scalar.

    The maximum is subtracted first, so that no exponential overflows.
    """
    z = z - z.max(axis=1, keepdims=True)
    p = np.exp(z)
    norm = p.sum(axis=1, keepdims=True)
    p /= norm
    n = len(z)
    loss = (np.log(norm).sum() - z[np.arange(n), labels].sum()) / n
    return loss, (p, labels)


def softmax_cross_entropy_backward(dloss: float, saved: Saved) -> Array:
    """dz = dloss (softmax(z) - onehot(label)) / n, (n, classes)."""
    p, labels = saved
    n = len(p)
    dz: Array = p.copy()
    dz[np.arange(n), labels] -= 1
    dz *= dloss / n
    return dz
