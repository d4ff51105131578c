"""Layers as pairs of pure functions: ``layer(x, ...) -> y, saved`` and ``layer_backward``.

Notation: ``x`` input, ``y`` output, ``dy`` the gradient of the loss with respect to ``y``; shapes
in brackets, with n the batch.
"""

from __future__ import annotations

from typing import Any

from backends.numpy.arrays import xp
from tasks.task import Array

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
    return x.T @ dy, xp.ones(len(dy), dy.dtype) @ dy  # faster than a sum


def relu(x: Array, out: Array | None = None) -> tuple[Array, Saved]:
    """y = max(x, 0), any shape, into ``out``, which may be x."""
    y = xp.maximum(x, 0, out=out)
    return y, (y,)


def relu_backward(dy: Array, saved: Saved, out: Array | None = None) -> Array:
    """dx = dy where x > 0, else 0 (0 at the kink too), into ``out``, which may be dy."""
    (y,) = saved
    dx: Array = xp.multiply(dy, y > 0, out=out)
    return dx


SMALLEST_NORM = 1e-12
"""Rows shorter than this are divided by it instead, as in PyTorch: the row 0 stays 0."""


def batch_norm(
    x: Array, scale: Array, offset: Array, epsilon: float
) -> tuple[Array, Saved, tuple[Array, Array]]:
    """y = scale (x - mean) / sqrt(variance + epsilon) + offset, for x (n, channels).

    Third come mean and variance (channels,) over the batch; the variance is the biased one. Ioffe &
    Szegedy 2015, algorithm 1.
    """
    mean = x.mean(axis=0)
    normed = x - mean
    variance = xp.square(normed).mean(axis=0)
    inverse = 1 / xp.sqrt(variance + epsilon)
    normed *= inverse
    y = normed * scale
    y += offset
    return y, (normed, inverse, scale), (mean, variance)


def batch_norm_backward(dy: Array, saved: Saved) -> tuple[Array, Array, Array]:
    """dx = scale / sqrt(variance + epsilon) (dy - mean(dy) - normed mean(dy normed)), dscale,
    doffset; the means are over the batch."""
    normed, inverse, scale = saved
    doffset, dscale = dy.sum(axis=0), (dy * normed).sum(axis=0)
    dx = dy - doffset / len(dy)
    dx -= normed * (dscale / len(dy))
    dx *= inverse * scale
    return dx, dscale, doffset


def layer_norm(x: Array, scale: Array, offset: Array, epsilon: float) -> tuple[Array, Saved]:
    """y = scale (x - mean) / sqrt(variance + epsilon) + offset, row by row, for x (n, channels).

    The variance is the biased one. Ba et al. 2016, equation 4.
    """
    averaging = xp.full(x.shape[1], 1 / x.shape[1], x.dtype)  # a product is the fastest mean
    normed = x - (x @ averaging)[:, None]
    variance = xp.square(normed) @ averaging
    inverse = (1 / xp.sqrt(variance + epsilon))[:, None]
    normed *= inverse
    y = normed * scale
    y += offset
    return y, (normed, inverse, scale)


def layer_norm_backward(dy: Array, saved: Saved) -> tuple[Array, Array, Array]:
    """dx = (dnormed - mean(dnormed) - normed mean(dnormed normed)) / sqrt(variance + epsilon), with
    dnormed = dy scale and means over the channels; dscale and doffset (channels,)."""
    normed, inverse, scale = saved
    n, channels = dy.shape
    averaging, summing = scale / channels, xp.ones(n, dy.dtype)
    product = dy * normed
    dscale, doffset = summing @ product, summing @ dy
    along = (product @ averaging)[:, None]
    dx = dy * scale
    dx -= (dy @ averaging)[:, None]
    dx -= xp.multiply(normed, along, out=product)
    dx *= inverse
    return dx, dscale, doffset


def sigmoid_cross_entropy(z: Array, labels: Array) -> tuple[Array, Saved]:
    """Mean over n of -log sigmoid(z) where the label is 1, -log(1 - sigmoid(z)) where it is 0.

    For logits z (n,) and labels (n,); a scalar. As max(z, 0) - z label + log(1 + e^-|z|), in which
    no exponential overflows.
    """
    e = xp.exp(-xp.abs(z))
    loss = (xp.maximum(z, 0) - z * labels + xp.log1p(e)).mean()
    return loss, (z, e, labels)


def sigmoid_cross_entropy_backward(dloss: float, saved: Saved) -> Array:
    """dz = dloss (sigmoid(z) - label) / n, (n,)."""
    z, e, labels = saved
    dz: Array = xp.where(z < 0, e, 1) / (1 + e)
    dz -= labels
    dz *= dloss / len(z)
    return dz


def l2_normalize(x: Array) -> tuple[Array, Saved]:
    """y = x / max(|x|, 1e-12), row by row, for x (n, channels)."""
    squares: Array = xp.einsum("ij,ij->i", x, x)[:, None]
    norm = xp.maximum(xp.sqrt(squares), SMALLEST_NORM)
    y = x / norm
    return y, (y, norm)


def l2_normalize_backward(dy: Array, saved: Saved) -> Array:
    """dx = (dy - y <y, dy>) / |x|; where |x| <= 1e-12 the divisor is constant, dx = dy / 1e-12."""
    y, norm = saved
    radial: Array = xp.einsum("ij,ij->i", y, dy)[:, None]
    radial *= norm > SMALLEST_NORM
    dx: Array = dy - y * radial
    dx /= norm
    return dx


def softmax_cross_entropy(z: Array, labels: Array) -> tuple[Array, Saved]:
    """Mean over n of -log softmax(z)[label], for logits z (n, classes), labels (n,); a scalar.

    The maximum is subtracted first, so that no exponential overflows.
    """
    z = z - z.max(axis=1, keepdims=True)
    p = xp.exp(z)
    norm = p.sum(axis=1, keepdims=True)
    p /= norm
    n = len(z)
    loss = (xp.log(norm).sum() - z[xp.arange(n), labels].sum()) / n
    return loss, (p, labels)


def softmax_cross_entropy_backward(dloss: float, saved: Saved) -> Array:
    """dz = dloss (softmax(z) - onehot(label)) / n, (n, classes)."""
    p, labels = saved
    n = len(p)
    dz: Array = p.copy()
    dz[xp.arange(n), labels] -= 1
    dz *= dloss / n
    return dz


def softmax_entropy(z: Array) -> tuple[Array, Saved]:
    """Mean over n of H = -sum_k p_k log p_k, p the softmax of z (n, classes); a scalar."""
    log_p = z - z.max(axis=1, keepdims=True)
    p = xp.exp(log_p)
    norm = p.sum(axis=1, keepdims=True)
    log_p -= xp.log(norm)
    p /= norm
    entropy = -xp.einsum("ij,ij->i", p, log_p)
    return entropy.mean(), (p, log_p, entropy)


def softmax_entropy_backward(dloss: float, saved: Saved) -> Array:
    """dz = -dloss p (log p + H) / n, (n, classes)."""
    p, log_p, entropy = saved
    dz: Array = log_p + entropy[:, None]
    dz *= p
    dz *= -dloss / len(p)
    return dz


def softmax_squared_error(z: Array, labels: Array) -> tuple[Array, Saved]:
    """Mean over n of |softmax(z) - onehot(label)|^2, for logits z (n, classes), labels (n,).

    Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """
    p = xp.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    errors = p.copy()
    errors[xp.arange(len(z)), labels] -= 1
    return xp.square(errors).sum() / len(z), (p, errors)


def softmax_squared_error_backward(dloss: float, saved: Saved) -> Array:
    """dz = p (dp - <p, dp>) row by row, with dp = 2 dloss (p - onehot) / n and p the softmax."""
    p, errors = saved
    dp = errors * (2 * dloss / len(p))
    dp -= xp.einsum("ij,ij->i", p, dp)[:, None]
    dz: Array = p * dp
    return dz
