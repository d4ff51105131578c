"""Optimisers, updating parameters and slots in place. The formulas stand in ``suite.contract``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from suite.contract import SGD, Array, Optimizer, RMSprop, Tree


def update(
    optimizer: Optimizer,
    params: Tree,
    gradients: Tree,
    slots: Mapping[str, Tree],
    scratch: Tree,
) -> None:
    """One step. ``scratch`` holds a leaf-shaped array for each parameter, overwritten."""
    for name, p in params.items():
        match optimizer:
            case SGD(learning_rate):
                p -= np.multiply(gradients[name], learning_rate, out=scratch[name])
            case RMSprop():
                _rmsprop(optimizer, p, gradients[name], slots["v"][name], scratch[name])


def _rmsprop(c: RMSprop, p: Array, g: Array, v: Array, t: Array) -> None:
    np.multiply(g, g, out=t)
    t *= 1 - c.rho
    v *= c.rho
    v += t
    np.add(v, c.epsilon, out=t)
    np.sqrt(t, out=t)
    np.divide(g, t, out=t)
    t *= c.learning_rate
    p -= t
