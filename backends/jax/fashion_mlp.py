"""Fashion-MNIST multi-layer perceptron in JAX."""

from __future__ import annotations

import jax
import optax

from backends.jax.engine import Arrays, Program
from tasks.task import State, Task


def forward(params: Arrays, buffers: Arrays, batch: Arrays) -> Arrays:
    """Logits (n, 10) from images (n, 784)."""
    h = jax.nn.relu(batch["images"] @ params["hidden.kernel"] + params["hidden.bias"])
    return {"logits": h @ params["output.kernel"] + params["output.bias"]}


def loss(
    params: Arrays, buffers: Arrays, batch: Arrays, key: jax.Array | None
) -> tuple[jax.Array, Arrays]:
    """Mean cross-entropy over the batch, and the buffers."""
    logits = forward(params, buffers, batch)["logits"]
    losses: jax.Array = optax.losses.softmax_cross_entropy_with_integer_labels(
        logits, batch["labels"]
    )
    return losses.mean(), buffers


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    return Program(task, state, seed, forward, loss)
