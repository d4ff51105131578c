"""JAX: a scan over all steps in one jit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from tasks.task import Array

LR, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8


def prepare(chunk: Mapping[str, Array], params: Mapping[str, Array]) -> Callable[[], object]:
    weights = [jnp.array(a) for a in params.values()]
    zeros = [jnp.zeros_like(w) for w in weights]
    carry: Any = (weights, zeros, [z.copy() for z in zeros], jnp.float32(0))
    batches = jax.device_put((chunk["inputs"], chunk["centres"], chunk["penalty"]))

    def loss(weights: Any, x: jax.Array, c: jax.Array, penalty: jax.Array) -> jax.Array:
        w1, b1, w2, b2, w3, b3, w4, b4 = weights
        a = jax.nn.relu(x @ w1 + b1) @ w2 + b2
        z = a * jnp.sqrt(a.shape[1] / (a * a).sum(axis=1, keepdims=True))
        y = jax.nn.relu(z @ w3 + b3) @ w4 + b4
        total: jax.Array = ((y - x) ** 2).sum() + penalty * ((z - c) ** 2).sum()
        return total / len(x)

    def step(carry: Any, batch: Any) -> Any:
        weights, m, v, t = carry
        t = t + 1
        value, gradients = jax.value_and_grad(loss)(weights, *batch)
        m = [BETA1 * m + (1 - BETA1) * g for m, g in zip(m, gradients, strict=True)]
        v = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(v, gradients, strict=True)]
        root = jnp.sqrt(1 - BETA2**t)
        rate = LR * root / (1 - BETA1**t)
        weights = [
            w - rate * m / (jnp.sqrt(v) + EPS * root) for w, m, v in zip(weights, m, v, strict=True)
        ]
        return (weights, m, v, t), value

    train = jax.jit(lambda c, batches: jax.lax.scan(step, c, batches), donate_argnums=0)

    def run() -> object:
        nonlocal carry
        carry, losses = jax.block_until_ready(train(carry, batches))
        return losses

    return run
