"""Autoencoder whose code is clustered, in JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from backends.jax.engine import Arrays, Program
from backends.jax.taps import tap
from tasks.task import State, Task

SMALLEST_NORM = 1e-12


def forward(params: Arrays, buffers: Arrays, batch: Arrays) -> Arrays:
    """Codes (n, code) and squared errors (n,) from inputs (n, inputs)."""
    codes, errors = _codes_and_errors(params, batch["inputs"])
    return {"codes": codes, "squared_error": (errors * errors).sum(axis=1)}


def loss(
    params: Arrays, buffers: Arrays, batch: Arrays, key: jax.Array | None
) -> tuple[jax.Array, Arrays]:
    """Mean over the batch of the squared error, plus the penalty where the batch has centres."""
    codes, errors = _codes_and_errors(params, batch["inputs"])
    total = jnp.vdot(errors, errors)
    if "centres" in batch:
        away = codes - batch["centres"]
        total += batch["penalty"] * jnp.vdot(away, away)
    return total / len(errors), buffers


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    return Program(task, state, seed, forward, loss)


def _codes_and_errors(params: Arrays, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Codes (n, code), and output minus input (n, inputs)."""
    codes = tap("codes", _normalized(_layers(params, "encoder", x)))
    return codes, _layers(params, "decoder", codes) - x


def _layers(params: Arrays, part: str, x: jax.Array) -> jax.Array:
    """The dense layers of one part, with ReLU on all but the last."""
    names = (n for n in params if n.startswith(part) and n.endswith(".kernel"))
    *hidden, last = sorted(n.removesuffix(".kernel") for n in names)  # hidden1, ..., output
    for name in hidden:
        x = tap(f"{name}_activation", jax.nn.relu(_dense(params, name, x)))
    return _dense(params, last, x)


def _dense(params: Arrays, name: str, x: jax.Array) -> jax.Array:
    return tap(name, x @ params[f"{name}.kernel"] + params[f"{name}.bias"])


def _normalized(a: jax.Array) -> jax.Array:
    """sqrt(code) a / max(|a|, 1e-12), row by row."""
    squares = jnp.sum(a * a, axis=1, keepdims=True)
    # the root is taken of no zero: its gradient would be infinite there
    inverse = jax.lax.rsqrt(jnp.maximum(squares, SMALLEST_NORM**2))
    codes: jax.Array = a * (a.shape[1] ** 0.5 * inverse)
    return codes
