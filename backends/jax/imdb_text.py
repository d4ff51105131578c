"""The models of film reviews in JAX."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from backends.jax import skipgram
from backends.jax.dropout import dropout
from backends.jax.engine import Arrays, Program
from backends.jax.hidden import dense, normalized
from backends.jax.taps import tap
from tasks.task import State, Task

WITHIN = "promise_in_bounds"
"""How rows are gathered: no index needs to be checked."""
PENALISED = ("bag.kernel", "hidden.kernel")


def forward(config: Any, params: Arrays, buffers: Arrays, batch: Arrays) -> Arrays:
    """Logits (n,) from bags of words, or from words (n, length) for ``embedding``."""
    return {"logits": _model(config, params, buffers, batch, None, training=False)[0]}


def loss(
    config: Any, params: Arrays, buffers: Arrays, batch: Arrays, key: jax.Array | None
) -> tuple[jax.Array, Arrays]:
    """Mean cross-entropy plus the penalty, and the new buffers."""
    logits, buffers = _model(config, params, buffers, batch, key, training=True)
    value = optax.losses.sigmoid_binary_cross_entropy(logits, batch["labels"]).mean()
    if getattr(config, "l1", 0):
        value += config.l1 * sum(jnp.abs(params[name]).sum() for name in PENALISED)
    if getattr(config, "l2", 0):
        value += config.l2 * sum(jnp.vdot(params[name], params[name]) for name in PENALISED)
    return value, buffers


def _model(
    config: Any,
    params: Arrays,
    buffers: Arrays,
    batch: Arrays,
    key: jax.Array | None,
    training: bool,
) -> tuple[jax.Array, Arrays]:
    """The logits (n,) and the new buffers."""
    if "embedding.kernel" in params:
        pooled = _embedding_max(params["embedding.kernel"], batch["words"])
        pooled = tap("embedding", pooled)
        # dropping a channel of all words and taking the maximum is the same in either order
        h = dropout(config.dropout, pooled, key, 0, "embedding", batch)
        h = tap("hidden_activation", jax.nn.relu(dense(params, "hidden", h)))
    else:
        a = tap("bag", _bag(params["bag.kernel"], batch) + params["bag.bias"])
        h = tap("bag_activation", jax.nn.relu(a))
        h, first = normalized(config, params, buffers, "bag", h, training)
        h = dropout(config.dropout, h, key, 0, "bag", batch)
        h = tap("hidden_activation", jax.nn.relu(dense(params, "hidden", h)))
        h, second = normalized(config, params, buffers, "hidden", h, training)
        h = dropout(config.dropout, h, key, 1, "hidden", batch)
        buffers = {**first, **second}
    return dense(params, "output", h)[:, 0], buffers


def _bag(kernel: jax.Array, batch: Arrays) -> jax.Array:
    """The sum (n, out) of the rows of ``kernel`` that the words of each review choose, by values.

    The padding belongs to review n, which there is not: it is left out.
    """
    rows = kernel.at[batch["words"]].get(mode=WITHIN)  # (capacity, out)
    if "values" in batch:
        rows *= batch["values"][:, None]
    return jax.ops.segment_sum(
        rows, batch["reviews"], num_segments=len(batch["labels"]), indices_are_sorted=True
    )


@jax.custom_vjp
def _embedding_max(kernel: jax.Array, words: jax.Array) -> jax.Array:
    """The maximum (n, channels) over the words (n, length), by the rows of ``kernel``."""
    return _maximum(kernel, words)[0]


def _maximum(kernel: jax.Array, words: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """The same, and what the way back needs."""
    by_place = words.T  # (length, n): the maximum then runs over whole rows
    rows = kernel.at[by_place].get(mode=WITHIN)  # (length, n, channels)
    y = rows.max(axis=0)
    return y, (kernel, by_place, rows, y)


def _to_winners(saved: tuple[jax.Array, ...], dy: jax.Array) -> tuple[jax.Array, None]:
    """The kernel's gradient: dy goes to the entry of the winning word alone; of equal ones, to the
    last.

    One ``where`` per place becomes a single pass over ``rows``, in which XLA compares as many
    entries at once as fit; its argmax, or a maximum of whole numbers, took twice as long.
    """
    kernel, by_place, rows, y = saved
    winners = jnp.zeros(y.shape, by_place.dtype)
    for row, word in zip(rows, by_place, strict=True):
        winners = jnp.where(row == y, word[:, None], winners)
    entries = winners * kernel.shape[1] + jnp.arange(kernel.shape[1], dtype=winners.dtype)
    flat = jnp.zeros(kernel.size, dy.dtype)
    flat = flat.at[entries.reshape(-1)].add(dy.reshape(-1), mode=WITHIN)
    return flat.reshape(kernel.shape), None


_embedding_max.defvjp(_maximum, _to_winners)


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    if "context.table" in state.params:
        of_pairs = partial(skipgram.forward, task.config), partial(skipgram.loss, task.config)
        return Program(task, state, seed, *of_pairs)
    return Program(task, state, seed, partial(forward, task.config), partial(loss, task.config))
