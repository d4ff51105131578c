"""JAX: a scan over all steps in one jit, rows gathered, a gradient of the maximum by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from tasks.task import Tree

RATE = 0.1


@jax.custom_vjp
def maximum(table: jax.Array, words: jax.Array) -> jax.Array:
    return table[words].max(axis=1)


def forwards(table: jax.Array, words: jax.Array) -> Any:
    rows = table[words]
    y = rows.max(axis=1)
    winners = jnp.where(rows == y[:, None], words[:, :, None], 0).max(axis=1)
    return y, (winners, table)


def backwards(saved: Any, dy: jax.Array) -> Any:
    winners, table = saved
    return jnp.zeros_like(table).at[winners, jnp.arange(table.shape[1])].add(dy), None


maximum.defvjp(forwards, backwards)


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    weights = tuple(jnp.array(a) for a in params.values())
    optimizer = optax.adam(1e-3, eps=1e-7)
    carry: Any = (weights, optimizer.init(weights), jax.random.key(0))
    xs = jax.device_put((chunk["words"], chunk["labels"]))

    def loss(weights: Any, words: jax.Array, y: jax.Array, key: jax.Array) -> jax.Array:
        table, w1, b1, w2, b2 = weights
        h = maximum(table, words)
        h = jnp.where(jax.random.bernoulli(key, 1 - RATE, h.shape), h / (1 - RATE), 0)
        z = (jax.nn.relu(h @ w1 + b1) @ w2 + b2)[:, 0]
        return jnp.mean(jax.nn.softplus(z) - y * z)

    def step(carry: Any, batch: Any) -> Any:
        weights, state, key = carry
        key, own = jax.random.split(key)
        value, gradients = jax.value_and_grad(loss)(weights, *batch, own)
        updates, state = optimizer.update(gradients, state)
        return (optax.apply_updates(weights, updates), state, key), value

    train = jax.jit(lambda c, xs: jax.lax.scan(step, c, xs), donate_argnums=0)

    def run() -> object:
        nonlocal carry
        carry, losses = jax.block_until_ready(train(carry, xs))
        return losses

    return run
