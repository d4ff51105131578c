"""Activations as pairs of pure functions, by the names that tasks have for them.

Each is ``activation(x) -> y, saved`` and ``activation_backward(dy, saved) -> dx``, for x (n,
channels). They may write into x and into dy: what comes before needs neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from backends.numpy.arrays import xp
from backends.numpy.layers import Saved, relu, relu_backward
from tasks.task import Array

SLOPE = 0.1
"""Slope of leaky ReLU below 0."""
Activation = tuple[Callable[[Array], tuple[Array, Saved]], Callable[[Array, Saved], Array]]


def sigmoid(x: Array) -> tuple[Array, Saved]:
    """y = 1 / (1 + e^-x), as (1 + tanh(x / 2)) / 2, which does not overflow."""
    y = xp.tanh(x / 2)
    y += 1
    y /= 2
    return y, (y,)


def sigmoid_backward(dy: Array, saved: Saved) -> Array:
    """dx = dy y (1 - y)."""
    (y,) = saved
    dx: Array = dy * y * (1 - y)
    return dx


def tanh(x: Array) -> tuple[Array, Saved]:
    """y = tanh(x)."""
    y = xp.tanh(x)
    return y, (y,)


def tanh_backward(dy: Array, saved: Saved) -> Array:
    """dx = dy (1 - y^2)."""
    (y,) = saved
    dx: Array = dy * (1 - y * y)
    return dx


def leaky_relu(x: Array) -> tuple[Array, Saved]:
    """y = max(x, .1 x) (Maas, Hannun & Ng, "Rectifier nonlinearities", 2013)."""
    y = xp.maximum(x, SLOPE * x)
    return y, (y,)


def leaky_relu_backward(dy: Array, saved: Saved) -> Array:
    """dx = dy where x > 0, else .1 dy."""
    (y,) = saved
    return xp.where(y > 0, dy, SLOPE * dy)


def elu(x: Array) -> tuple[Array, Saved]:
    """y = x where x > 0, else e^x - 1 (Clevert, Unterthiner & Hochreiter 2016, alpha 1)."""
    y = xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0)))
    return y, (y,)


def elu_backward(dy: Array, saved: Saved) -> Array:
    """dx = dy where x > 0, else dy e^x = dy (y + 1)."""
    (y,) = saved
    dx: Array = dy * xp.minimum(y + 1, 1)
    return dx


def maxout(x: Array) -> tuple[Array, Saved]:
    """y = max(a, b) (n, channels) for x = [a, b] (n, 2 channels) (Goodfellow et al. 2013)."""
    a, b = xp.split(x, 2, axis=1)
    return xp.maximum(a, b), (a > b,)


def maxout_backward(dy: Array, saved: Saved) -> Array:
    """dx = [dy where a > b, dy elsewhere], the rest 0."""
    (first,) = saved
    return xp.concatenate([dy * first, dy * ~first], axis=1)


ACTIVATIONS: Mapping[str, Activation] = {
    "relu": (
        lambda x: relu(x, out=x),
        lambda dy, saved: relu_backward(dy, saved, out=dy),
    ),
    "sigmoid": (sigmoid, sigmoid_backward),
    "tanh": (tanh, tanh_backward),
    "leaky_relu": (leaky_relu, leaky_relu_backward),
    "elu": (elu, elu_backward),
    "maxout": (maxout, maxout_backward),
}
