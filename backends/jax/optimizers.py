"""Optimisers as pure functions over trees of canonical names.

Written out, as in the other backends, rather than taken from optax: the slots of a State are these
trees themselves, with nothing to translate.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax

from suite.contract import SGD, Optimizer, RMSprop

Arrays = Mapping[str, jax.Array]
Slots = Mapping[str, Arrays]


def update(
    optimizer: Optimizer, params: Arrays, gradients: Arrays, slots: Slots
) -> tuple[Arrays, Slots]:
    """One step: the new parameters and slots."""
    match optimizer:
        case SGD(learning_rate):
            return {k: p - learning_rate * gradients[k] for k, p in params.items()}, slots
        case RMSprop(learning_rate, rho, epsilon):
            v = {k: rho * slots["v"][k] + (1 - rho) * g * g for k, g in gradients.items()}
            moved = {
                k: p - learning_rate * gradients[k] * jax.lax.rsqrt(v[k] + epsilon)
                for k, p in params.items()
            }
            return moved, {"v": v}
