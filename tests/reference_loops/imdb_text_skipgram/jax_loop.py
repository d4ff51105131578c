"""JAX: a scan over all steps in one jit, with optax's Adam and its linear schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from tasks.task import Tree

TOTAL = 6_000


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    weights = tuple(jnp.array(a) for a in params.values())
    optimizer = optax.adam(optax.linear_schedule(1e-2, 0.0, TOTAL))
    carry: Any = (weights, optimizer.init(weights))
    xs = jax.device_put((chunk["words"], chunk["contexts"]))

    def loss(weights: Any, words: jax.Array, contexts: jax.Array) -> jax.Array:
        v, u = weights
        z = jnp.einsum("nc,nmc->nm", v[words], u[contexts])
        likely = jax.nn.log_sigmoid(z[:, 0]) + jax.nn.log_sigmoid(-z[:, 1:]).sum(axis=1)
        return -likely.mean()

    def step(carry: Any, batch: Any) -> Any:
        weights, state = carry
        value, gradients = jax.value_and_grad(loss)(weights, *batch)
        updates, state = optimizer.update(gradients, state)
        return (optax.apply_updates(weights, updates), state), value

    train = jax.jit(lambda c, xs: jax.lax.scan(step, c, xs), donate_argnums=0)

    def run() -> object:
        nonlocal carry
        carry, losses = jax.block_until_ready(train(carry, xs))
        return losses

    return run
