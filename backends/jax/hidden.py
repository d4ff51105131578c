"""The layers of dense stacks: dense, activation, batch normalisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from backends.jax.engine import Arrays
from backends.jax.taps import tap


def maxout(a: jax.Array) -> jax.Array:
    """The larger of two pieces, (n, units) from (n, 2 units)."""
    return jnp.maximum(*jnp.split(a, 2, axis=1))


ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "leaky_relu": partial(jax.nn.leaky_relu, negative_slope=0.1),
    "elu": jax.nn.elu,
    "maxout": maxout,
}


def dense(params: Arrays, layer: str, x: jax.Array) -> jax.Array:
    """x kernel + bias, (n, out) from (n, in)."""
    return tap(layer, x @ params[f"{layer}.kernel"] + params[f"{layer}.bias"])


def normalized(
    config: Any,
    params: Arrays,
    buffers: Arrays,
    layer: str,
    h: jax.Array,
    training: bool,
) -> tuple[jax.Array, Arrays]:
    """Batch normalisation of ``h`` (n, channels) if ``config`` has it, and the new buffers."""
    if not config.batch_norm:
        return h, {}
    renewed: Arrays = {}
    norm = f"{layer}_norm"
    mean, variance = buffers[f"{norm}.mean"], buffers[f"{norm}.variance"]
    if training:
        kept = {f"{norm}.mean": mean, f"{norm}.variance": variance}
        mean, variance = h.mean(axis=0), h.var(axis=0)
        batch = {f"{norm}.mean": mean, f"{norm}.variance": variance}
        renewed = optax.incremental_update(batch, kept, 1 - config.momentum)
    scale = params[f"{norm}.scale"] * jax.lax.rsqrt(variance + config.epsilon)
    return tap(norm, (h - mean) * scale + params[f"{norm}.offset"]), renewed


def stack(config: Any, params: Arrays, x: jax.Array) -> jax.Array:
    """The one output (n,) for x (n, in) of dense layers with ``config.activation`` between them."""
    for layer in config.layers:
        x = tap(f"{layer}_activation", ACTIVATIONS[config.activation](dense(params, layer, x)))
    return dense(params, "output", x)[:, 0]
