"""Fashion-MNIST multi-layer perceptron in JAX."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from backends.jax.dropout import dropout
from backends.jax.engine import Arrays, Program
from backends.jax.hidden import ACTIVATIONS, dense, normalized
from backends.jax.taps import tap
from tasks.task import State, Task


def forward(config: Any, params: Arrays, buffers: Arrays, batch: Arrays) -> Arrays:
    """Logits (n, 10) from images (n, 784), and the activations of all hidden units (n, units)."""
    logits, hidden, _ = _model(config, params, buffers, batch, None, training=False)
    return {"logits": logits, "hidden": jnp.concatenate(hidden, axis=1)}


def loss(
    config: Any, params: Arrays, buffers: Arrays, batch: Arrays, key: jax.Array | None
) -> tuple[jax.Array, Arrays]:
    """Mean loss over the batch plus penalties, and the new buffers."""
    logits, _, buffers = _model(config, params, buffers, batch, key, training=True)
    if config.loss == "squared":
        errors = jax.nn.softmax(logits) - jax.nn.one_hot(batch["labels"], config.classes)
        losses = jnp.square(errors).sum(axis=1)
    else:
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, batch["labels"])
    value = losses.mean()
    if config.l1 or config.l2:
        value += _penalty(config, params)
    return value, buffers


def _model(
    config: Any,
    params: Arrays,
    buffers: Arrays,
    batch: Arrays,
    key: jax.Array | None,
    training: bool,
) -> tuple[jax.Array, list[jax.Array], Arrays]:
    """The logits, the activations of each hidden layer, and the new buffers."""
    h, hidden = batch["images"], []
    renewed: dict[str, jax.Array] = {}
    for number, layer in enumerate(config.layers):
        h = tap(f"{layer}_activation", ACTIVATIONS[config.activation](dense(params, layer, h)))
        hidden.append(h)
        h, new = normalized(config, params, buffers, layer, h, training)
        h = dropout(config.dropout, h, key, number, layer, batch)
        renewed |= new
    logits = dense(params, "output", h)
    return logits if config.beta == 1 else config.beta * logits, hidden, renewed


def _penalty(config: Any, params: Arrays) -> Any:
    """l1 times the sum of |w| plus l2 times that of w^2, over all hidden kernels."""
    kernels = [params[f"{layer}.kernel"] for layer in config.layers]
    absolute, squares = sum(jnp.abs(w).sum() for w in kernels), sum(jnp.vdot(w, w) for w in kernels)
    return config.l1 * absolute + config.l2 * squares


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    config = task.config
    return Program(task, state, seed, partial(forward, config), partial(loss, config))
