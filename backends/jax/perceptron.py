"""The perceptron in JAX."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from backends.jax.engine import Arrays, Program
from backends.jax.hidden import stack
from tasks.task import State, Task

COUNT = "count.mistakes"


def forward(config: Any, params: Arrays, buffers: Arrays, batch: Arrays) -> Arrays:
    """Logits (n,) from points (n, 2), and the number of mistakes until now (1,)."""
    return {"logits": stack(config, params, batch["inputs"]), "mistakes": buffers[COUNT]}


def loss(
    config: Any, params: Arrays, buffers: Arrays, batch: Arrays, key: jax.Array | None
) -> tuple[jax.Array, Arrays]:
    """Mean loss over the batch, and the new count."""
    z, labels = stack(config, params, batch["inputs"]), batch["labels"]
    agreement = (2 * labels - 1) * z
    wrong = agreement <= 0
    counted = {COUNT: buffers[COUNT] + wrong.sum(dtype=z.dtype)}
    if config.loss == "perceptron":
        # the gradient of a mistake is -sign, also where z is 0: so the rule leaves w = b = 0
        return jnp.where(wrong, -agreement, 0).mean(), counted
    return optax.losses.sigmoid_binary_cross_entropy(z, labels).mean(), counted


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    config = task.config
    return Program(task, state, seed, partial(forward, config), partial(loss, config))
