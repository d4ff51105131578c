"""Siamese and triplet networks for one-shot recognition in JAX, and fine-tuning above them."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from backends.jax.engine import Arrays, Program
from backends.jax.taps import tap
from tasks.task import Array, State, Task

CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4")
FIRST = (2, 0, 1, 3)
"""The order of axes in which the pictures come first."""
SMALLEST_NORM = 1e-12


def forward(params: Arrays, buffers: Arrays, batch: Arrays) -> Arrays:
    """Embeddings (n, embedding) of images (n, side, side), and the head's kernel for each, or their
    logits (n, episodes, ways) in all episodes."""
    embeddings = _embed(params, batch["images"])
    if "head.kernels" in params:
        logits = jnp.einsum("nc,ecw->new", embeddings, params["head.kernels"])
        return {"embeddings": embeddings, "logits": logits + params["head.biases"]}
    if "similarity.kernel" not in params:
        return {"embeddings": embeddings}
    kernel = jnp.broadcast_to(params["similarity.kernel"].T, embeddings.shape)
    return {"embeddings": embeddings, "kernel": kernel}


def loss(
    config: Any, params: Arrays, buffers: Arrays, batch: Arrays, key: jax.Array | None
) -> tuple[jax.Array, Arrays]:
    """Cross-entropy of the batch's ``pairs``, each group half; of its ``places``, see the function
    for that; without, the loss of triplets."""
    if "places" in batch:
        return _finetune(config, params, batch), buffers
    embeddings = tap("embeddings", _embed(params, batch["images"]))
    if "pairs" not in batch:
        return _triplet_loss(embeddings, config.per_class, config.margin), buffers
    first, second = batch["pairs"].T
    difference = jnp.abs(embeddings[first] - embeddings[second])
    difference = tap("difference", difference)
    logits = difference @ params["similarity.kernel"] + params["similarity.bias"]
    logits = tap("similarity", logits)[:, 0]
    same = len(embeddings) * (config.per_class - 1) // 2
    alike = jax.nn.softplus(-logits[:same]).mean()
    return (alike + jax.nn.softplus(logits[same:]).mean()) / 2, buffers


def _embed(params: Arrays, images: jax.Array) -> jax.Array:
    # (row, column, n, channels): a slice of rows or columns is then made of whole blocks
    h = images.transpose(1, 2, 0)[..., None]
    for name in CONVOLUTIONS:
        a = _convolution(h, params[f"{name}.kernel"], params[f"{name}.bias"])
        h = tap(f"{name}_activation", jax.nn.relu(tap(name, a, FIRST)), FIRST)
    h = h.transpose(2, 0, 1, 3).reshape(len(images), -1)
    z = tap("dense", h @ params["dense.kernel"] + params["dense.bias"])
    # the root of the larger, not the larger of the roots: a root has no gradient at 0
    square = jnp.maximum((z * z).sum(axis=1, keepdims=True), SMALLEST_NORM**2)
    return z / jnp.sqrt(square)


def _convolution(x: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
    """3 x 3, stride 2, padding 1: (side, side, n, c) to (m, m, n, o), m = ceil(side / 2).

    One product of all windows with the kernel (3, 3, c, o): ``lax.conv`` inside a scan is 20 times
    slower on the CPU.
    """
    side, _, n, _ = x.shape
    m = -(-side // 2)
    border = (1, 2 * m - side)  # after an even side no window reaches over the end
    x = jnp.pad(x, (border, border, (0, 0), (0, 0)))
    taps = [x[r : r + 2 * m : 2, s : s + 2 * m : 2] for r, s in np.ndindex(3, 3)]
    windows = jnp.concatenate(taps, axis=-1).reshape(m * m * n, -1)
    return (windows @ w.reshape(-1, w.shape[-1]) + b).reshape(m, m, n, -1)


def _triplet_loss(embeddings: jax.Array, k: int, margin: float) -> jax.Array:
    """The mean over the active triplets, from embeddings (n, channels) of length 1, k a class."""
    n = len(embeddings)
    by_class = embeddings.reshape(n // k, k, -1)
    near = 2 - 2 * jnp.einsum("cad,cpd->cap", by_class, by_class)  # (classes, anchor, positive)
    far = (2 - 2 * embeddings @ embeddings.T).reshape(n // k, k, 1, n)
    offsets = _offsets(n, k, margin).astype(embeddings.dtype)
    hinge = jax.nn.relu(near[..., None] - far + offsets)  # (classes, anchor, positive, negative)
    return hinge.sum() / jnp.maximum(jnp.count_nonzero(hinge), 1)


def _offsets(n: int, k: int, margin: float) -> Array:
    """(n / k, k, k, n): the margin for a triplet, minus infinity for what is none."""
    other = np.arange(n) // k != np.arange(n // k)[:, None]  # (classes, negative)
    valid = other[:, None, None, :] & ~np.eye(k, dtype=bool)[:, :, None]
    return np.where(valid, margin, -np.inf)


def _finetune(config: Any, params: Arrays, batch: Arrays) -> jax.Array:
    """Cross-entropy of the known pictures plus ``config.entropy`` times the entropy of the others,
    means over all episodes."""
    x = batch["embeddings"][batch["places"]]  # (episodes, pictures, embedding)
    z = tap("head", x @ params["head.kernels"] + params["head.biases"][:, None])
    log_p = jax.nn.log_softmax(z)  # (episodes, pictures, ways)
    known = config.ways * config.shots
    labels = jnp.repeat(jnp.arange(config.ways), config.shots)
    value = -log_p[:, jnp.arange(known), labels].mean()
    asked = log_p[:, known:]
    loss: jax.Array = value - config.entropy * (jnp.exp(asked) * asked).sum(axis=2).mean()
    return loss


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    return Program(task, state, seed, forward, partial(loss, task.config))
