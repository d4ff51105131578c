"""Components of a transformer, as pure functions: positions, norm, attention and its loss."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tasks.task import Array as HostArray

Array = jax.Array

ROWS = 128
"""Positions whose logits are made at a time: with 6,000 words, 3 MB, which a cache holds."""


def sinusoids(length: int, width: int) -> HostArray:
    """P (length, width) with P[p, 2i] = sin(p / 10000^(2i/width)), P[p, 2i+1] = cos(same).

    Vaswani et al. 2017, section 3.5; float64.
    """
    column = np.arange(width)
    angles = np.arange(length)[:, None] / 10_000.0 ** ((column - column % 2) / width)
    return np.where(column % 2, np.cos(angles), np.sin(angles))


def layer_norm(x: Array, scale: Array, offset: Array, epsilon: float) -> Array:
    """(x - mean) / sqrt(variance + epsilon) scale + offset over the last axis, biased variance.

    Ba, Kiros & Hinton 2016, equation 4.
    """
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + epsilon) * scale + offset


@jax.custom_vjp
def dense(x: Array, kernel: Array, bias: Array) -> Array:
    """x kernel + bias (n, outputs), from x (n, inputs)."""
    return x @ kernel + bias


def _dense_forward(x: Array, kernel: Array, bias: Array) -> tuple[Array, tuple[Array, Array]]:
    return dense(x, kernel, bias), (x, kernel)


def _dense_backward(saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array, Array]:
    x, kernel = saved
    # On the CPU, x^T dy takes twice the time of its transpose where there are more inputs than
    # outputs; without the barrier, XLA would make the one out of the other.
    narrowing = x.shape[1] > dy.shape[1]
    dkernel = jax.lax.optimization_barrier(dy.T @ x).T if narrowing else x.T @ dy
    return dy @ kernel.T, dkernel, dy.sum(axis=0)


dense.defvjp(_dense_forward, _dense_backward)


def split(x: Array, heads: int) -> Array:
    """(n, heads, T, width / heads) from x (n, T, width): every head gets consecutive columns."""
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def merge(x: Array) -> Array:
    """(n, T, width) from (n, heads, T, width / heads)."""
    n, heads, length, channels = x.shape
    return x.swapaxes(1, 2).reshape(n, length, heads * channels)


def attend(q: Array, k: Array, v: Array, mask: Array) -> tuple[Array, Array]:
    """softmax(q k^T / sqrt(d)) v, head by head: (n, heads, T, d), and the weights.

    From queries (n, heads, T, d), keys and values (n, heads, S, d); ``mask`` says which keys
    count, and is broadcast to the weights (n, heads, T, S). Vaswani et al. 2017, equation 1.
    """
    scores = jnp.einsum("nhqd,nhkd->nhqk", q, k) / math.sqrt(q.shape[-1])
    weights = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf))
    return jnp.einsum("nhqk,nhkd->nhqd", weights, v), weights


def smoothed_cross_entropy(
    y: Array, kernel: Array, bias: Array, targets: Array, real: Array, smoothing: float
) -> Array:
    """Mean of -[(1 - s) log p(target) + s / V sum_v log p(v)] over the ``real`` rows.

    From y (n, width), the logits y kernel^T + bias with kernel (V, width), and targets (n,).
    Szegedy et al. 2016, section 7. As log p = logits - logsumexp, the sum over the words needs no
    logits: it is y times the sum of the kernel's rows.
    """
    weights = real / real.sum().astype(y.dtype)
    rows = kernel.at[targets].get(mode="promise_in_bounds")
    of_target = weights @ ((y * rows).sum(axis=1) + bias[targets])
    of_words = (weights @ y) @ kernel.mean(axis=0) + bias.mean()
    total = weighted_logsumexp(y, kernel, bias, weights)
    return total - (1 - smoothing) * of_target - smoothing * of_words


@jax.custom_vjp
def weighted_logsumexp(y: Array, kernel: Array, bias: Array, weights: Array) -> Array:
    """sum_i weights_i log sum_v exp(y_i kernel_v + bias_v), from y (n, width), kernel (V, width).

    The gradients are made along with the value, ``ROWS`` rows at a time: the probabilities never
    leave the cache, and rows without weight are left out. There is no gradient of the weights.
    """
    return _with_gradients(y, kernel, bias, weights)[0]


def _with_gradients(y: Array, kernel: Array, bias: Array, weights: Array) -> tuple[Array, Any]:
    n = len(y)
    (rows,) = jnp.nonzero(weights, size=n + -n % ROWS, fill_value=n)
    blocks = (jnp.count_nonzero(weights) + ROWS - 1) // ROWS

    def body(block: Array, sums: tuple[Array, ...]) -> tuple[Array, ...]:
        total, dy, dkernel, dbias = sums
        here = jax.lax.dynamic_slice_in_dim(rows, block * ROWS, ROWS)
        own, weight = (a.at[here].get(mode="fill", fill_value=0) for a in (y, weights))
        logits = kernel @ own.T + bias[:, None]  # words first: XLA reduces over rows faster
        largest = logits.max(axis=0)
        e = jnp.exp(logits - largest)
        normaliser = e.sum(axis=0)
        # on the narrow side of the products, not on the V columns: p = e / normaliser
        scale = (weight / normaliser)[:, None]
        return (
            total + weight @ (largest + jnp.log(normaliser)),
            dy.at[here].set(e.T @ kernel * scale, mode="drop"),
            dkernel + e @ (own * scale),
            dbias + (e @ scale)[:, 0],
        )

    start = (jnp.zeros((), y.dtype), *(jnp.zeros_like(a) for a in (y, kernel, bias)))
    total, *gradients = jax.lax.fori_loop(0, blocks, body, start)
    return total, gradients


def _backward(gradients: list[Array], cotangent: Array) -> tuple[Array | None, ...]:
    return *(cotangent * g for g in gradients), None


weighted_logsumexp.defvjp(_with_gradients, _backward)
