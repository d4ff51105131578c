"""Initial distributions, each ``draw(rng, shape) -> array``."""

from __future__ import annotations

import numpy as np

from suite.contract import Array


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """All zero, for biases."""
    return np.zeros(shape)


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """U(-a, a) with a = sqrt(6 / (in + out)), for a kernel (in, out).

    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    2010, equation 16.
    """
    fan_in, fan_out = shape
    limit = np.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, shape)
