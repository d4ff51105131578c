"""Optimisers from optax, where it computes the specified formula."""

from __future__ import annotations

import optax

from suite.contract import SGD, Optimizer, RMSprop

SLOTS = {"v": "nu"}
"""Canonical slot to the field's name in optax' state."""


def make(optimizer: Optimizer) -> optax.GradientTransformation:
    """The optimiser of the specification."""
    match optimizer:
        case SGD(learning_rate):
            return optax.sgd(learning_rate)
        case RMSprop(learning_rate, rho, epsilon):
            return optax.rmsprop(learning_rate, decay=rho, eps=epsilon, eps_in_sqrt=True)
