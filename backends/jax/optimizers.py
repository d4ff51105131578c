"""Optimisers as pure functions over trees of canonical names.

Written out, as in the other backends, rather than taken from optax: the slots of a State are these
trees themselves, with nothing to translate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

import jax
import jax.numpy as jnp
import numpy as np

from tasks.optimizers import SGD, Adagrad, Adam, Momentum, Optimizer, RMSprop
from tasks.task import Array

Arrays = Mapping[str, jax.Array]
Slots = Mapping[str, Arrays]


def step_rates(
    optimizer: Optimizer, step: int, count: int, dtype: np.dtype[Any]
) -> Mapping[str, Array]:
    """Values that ``count`` updates after update number ``step`` need, each (count,).

    A rate that does not change is compiled in, but for Adam, whose corrections do.
    """
    if not isinstance(optimizer, Adam):
        return {"rate": optimizer.rates(step, count).astype(dtype)} if optimizer.schedule else {}
    rate, epsilon = optimizer.corrected(step, count)
    return {"rate": rate.astype(dtype), "epsilon": epsilon.astype(dtype)}


def update(
    optimizer: Optimizer, params: Arrays, gradients: Arrays, slots: Slots, rates: Arrays
) -> tuple[Arrays, Slots]:
    """One step: the new parameters and slots. ``rates`` are those of this step."""
    rate: Any = rates.get("rate", optimizer.learning_rate)
    match optimizer:
        case SGD():
            return {k: p - rate * gradients[k] for k, p in params.items()}, slots
        case Momentum(_, momentum):
            m = {k: momentum * slots["m"][k] + g for k, g in gradients.items()}
            return {k: p - rate * m[k] for k, p in params.items()}, {"m": m}
        case Adagrad(_, epsilon):
            v = {k: slots["v"][k] + g * g for k, g in gradients.items()}
            moved = {
                k: p - rate * gradients[k] / (jnp.sqrt(v[k]) + epsilon) for k, p in params.items()
            }
            return moved, {"v": v}
        case RMSprop(_, rho, epsilon):
            v = {k: rho * slots["v"][k] + (1 - rho) * g * g for k, g in gradients.items()}
            moved = {
                k: p - rate * gradients[k] * jax.lax.rsqrt(v[k] + epsilon)
                for k, p in params.items()
            }
            return moved, {"v": v}
        case Adam(_, beta1, beta2, clip=clip):
            g = gradients if clip is None else _clipped(gradients, clip)
            m = {k: beta1 * slots["m"][k] + (1 - beta1) * g[k] for k in params}
            v = {k: beta2 * slots["v"][k] + (1 - beta2) * g[k] * g[k] for k in params}
            moved = {
                k: p - rate * m[k] / (jnp.sqrt(v[k]) + rates["epsilon"]) for k, p in params.items()
            }
            return moved, {"m": m, "v": v}
        case unknown:
            assert_never(unknown)


def _clipped(gradients: Arrays, clip: float) -> Arrays:
    """The gradients with a global norm of at most ``clip``."""
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in gradients.values()))
    factor = jnp.minimum(1.0, clip / norm)
    return {k: g * factor for k, g in gradients.items()}
