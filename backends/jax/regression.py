"""Regression in JAX."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from backends.jax.engine import Arrays, Program
from backends.jax.hidden import stack
from tasks.task import State, Task


def forward(config: Any, params: Arrays, buffers: Arrays, batch: Arrays) -> Arrays:
    """Values (n,) of points (n, 2)."""
    return {"values": stack(config, params, batch["inputs"])}


def loss(
    config: Any, params: Arrays, buffers: Arrays, batch: Arrays, key: jax.Array | None
) -> tuple[jax.Array, Arrays]:
    """Mean squared error over the batch, and no buffers."""
    errors = stack(config, params, batch["inputs"]) - batch["values"]
    return jnp.square(errors).mean(), {}


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    config = task.config
    return Program(task, state, seed, partial(forward, config), partial(loss, config))
