"""Initial distributions, each ``draw(rng, shape) -> array``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tasks.task import Array


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """All zero, for biases."""
    return np.zeros(shape)


def ones(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """All one, for the scales and variances of batch normalisation."""
    return np.ones(shape)


def uniform(limit: float) -> Callable[[np.random.Generator, tuple[int, ...]], Array]:
    """U(-limit, limit)."""
    return lambda rng, shape: rng.uniform(-limit, limit, shape)


def constant(value: float) -> Callable[[np.random.Generator, tuple[int, ...]], Array]:
    """The distribution that is always ``value``."""
    return lambda rng, shape: np.full(shape, value)


def normal(deviation: float) -> Callable[[np.random.Generator, tuple[int, ...]], Array]:
    """N(0, deviation^2)."""
    return lambda rng, shape: rng.normal(0, deviation, shape)


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """U(-a, a) with a = sqrt(6 / (in + out)), for a kernel (in, out).

    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    2010, equation 16.
    """
    fan_in, fan_out = shape
    limit = np.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, shape)


def xavier_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """N(0, 2 / (in + out)), for a kernel (in, out): the variance of ``glorot_uniform``."""
    fan_in, fan_out = shape
    return rng.normal(0, np.sqrt(2 / (fan_in + fan_out)), shape)


def he_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """N(0, 2 / in), for a kernel (in, out) or (height, width, in, out), where in = their product.

    He et al., "Delving deep into rectifiers", 2015, equation 10.
    """
    return rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)


def lecun_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """N(0, 1 / in), for a kernel (in, out) whose outputs no ReLU follows.

    LeCun et al., "Efficient backprop", 1998, section 4.6.
    """
    return rng.normal(0, np.sqrt(1 / np.prod(shape[:-1])), shape)
