"""JAX: a scan over all steps in one jit, the bags by gathering and summing segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from tasks.task import Tree

LR, RHO, EPS = 1e-3, 0.9, 1e-7


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    weights = [jnp.array(a) for a in params.values()]
    carry: Any = (weights, [jnp.zeros_like(w) for w in weights])
    xs = jax.device_put((chunk["words"], chunk["reviews"], chunk["labels"]))

    def loss(weights: Any, words: jax.Array, reviews: jax.Array, y: jax.Array) -> jax.Array:
        w1, b1, w2, b2, w3, b3 = weights
        x = jax.ops.segment_sum(w1[words], reviews, len(y), indices_are_sorted=True)
        h = jax.nn.relu(jax.nn.relu(x + b1) @ w2 + b2)
        z = (h @ w3 + b3)[:, 0]
        return jnp.mean(jax.nn.softplus(z) - y * z)

    def step(carry: Any, batch: Any) -> Any:
        weights, averages = carry
        value, gradients = jax.value_and_grad(loss)(weights, *batch)
        averages = [RHO * v + (1 - RHO) * g * g for v, g in zip(averages, gradients, strict=True)]
        weights = [
            w - LR * g * jax.lax.rsqrt(v + EPS)
            for w, v, g in zip(weights, averages, gradients, strict=True)
        ]
        return (weights, averages), value

    train = jax.jit(lambda c, xs: jax.lax.scan(step, c, xs), donate_argnums=0)

    def run() -> object:
        nonlocal carry
        carry, losses = jax.block_until_ready(train(carry, xs))
        return losses

    return run
