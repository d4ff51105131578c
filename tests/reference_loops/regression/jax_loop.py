"""JAX: a scan over all steps in one jit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from tasks.task import Tree

LR = 1e-2


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    carry: Any = [jnp.array(a) for a in params.values()]
    xs, ys = jax.device_put(chunk["inputs"]), jax.device_put(chunk["values"])

    def loss(weights: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        w1, b1, w2, b2, w3, b3 = weights
        h = jax.nn.relu(jax.nn.relu(x @ w1 + b1) @ w2 + b2)
        return jnp.square((h @ w3 + b3)[:, 0] - y).mean()

    def step(weights: Any, batch: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(weights, *batch)
        return [w - LR * g for w, g in zip(weights, gradients, strict=True)], value

    train = jax.jit(lambda c, xs, ys: jax.lax.scan(step, c, (xs, ys)), donate_argnums=0)

    def run() -> object:
        nonlocal carry
        carry, losses = jax.block_until_ready(train(carry, xs, ys))
        return losses

    return run
