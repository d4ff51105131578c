"""JAX: a scan over all steps in one jit, the recurrence with its own backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from tasks.task import Tree

LR, BETA1, BETA2, EPS, CLIP = 1e-2, 0.9, 0.999, 1e-8, 1.0


@jax.custom_vjp
def recurrence(xs: jax.Array, w: jax.Array, h0: jax.Array, c0: jax.Array) -> Any:
    return ahead(xs, w, h0, c0)[0]


def ahead(xs: jax.Array, w: jax.Array, h0: jax.Array, c0: jax.Array) -> Any:
    def cell(state: Any, x: jax.Array) -> Any:
        h, c = state
        i, f, g, o = jnp.split(x + h @ w, 4, axis=1)
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        new = f * c + i * g
        out = o * jnp.tanh(new)
        return (out, new), (out, h, new, c, i, f, g, o)

    (_, last), (hs, *saved) = jax.lax.scan(cell, (h0, c0), xs)
    return (hs, last), (saved, w)


def back(kept: Any, cotangent: Any) -> Any:
    saved, w = kept
    wt = w.T

    def cell(gradients: Any, inputs: Any) -> Any:
        (dh, dc), (d, c, before, i, f, g, o) = gradients, inputs
        t, dh = jnp.tanh(c), dh + d
        dc = dc + dh * o * (1 - t * t)
        parts = (dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g * g))
        da = jnp.concatenate([*parts, dh * t * o * (1 - o)], axis=1)
        return (da @ wt, dc * f), da

    start = (jnp.zeros_like(cotangent[1]), cotangent[1])
    (dh, dc), da = jax.lax.scan(cell, start, (cotangent[0], *saved[1:]), reverse=True)
    return da, saved[0].reshape(-1, 256).T @ da.reshape(-1, 1024), dh, dc


recurrence.defvjp(ahead, back)


def loss(weights: Any, x: jax.Array, y: jax.Array, h: jax.Array, c: jax.Array) -> Any:
    e, wx, wh, b, wo, bo = weights
    hs, c = recurrence((e @ wx + b)[x], wh, h, c)
    log_p = jax.nn.log_softmax(hs.reshape(-1, 256) @ wo + bo)
    return -log_p[jnp.arange(y.size), y].mean(), (hs[-1], c)


def step(carry: Any, batch: Any) -> Any:
    weights, m, v, t, h, c = carry
    t = t + 1
    (value, (h, c)), gradients = jax.value_and_grad(loss, has_aux=True)(weights, *batch, h, c)
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in gradients))
    gradients = [g * jnp.minimum(1.0, CLIP / norm) for g in gradients]
    m = [BETA1 * m + (1 - BETA1) * g for m, g in zip(m, gradients, strict=True)]
    v = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(v, gradients, strict=True)]
    root = jnp.sqrt(1 - BETA2**t)
    rate = LR * root / (1 - BETA1**t)
    weights = [
        w - rate * m / (jnp.sqrt(v) + EPS * root) for w, m, v in zip(weights, m, v, strict=True)
    ]
    return (weights, m, v, t, h, c), value


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    weights = [jnp.array(a) for a in params.values()]
    m, v = ([jnp.zeros_like(w) for w in weights] for _ in range(2))
    zero = jnp.zeros((chunk["inputs"].shape[1], 256))
    carry: Any = (weights, m, v, jnp.float32(0))
    xs = jnp.array(chunk["inputs"].transpose(0, 2, 1))
    ys = jnp.array(chunk["targets"].transpose(0, 2, 1).reshape(len(xs), -1))

    def scan(carry: Any, xs: jax.Array, ys: jax.Array) -> Any:
        (*carry, _, _), losses = jax.lax.scan(step, (*carry, zero, zero), (xs, ys))
        return carry, losses

    train = jax.jit(scan, donate_argnums=0)

    def run() -> object:
        nonlocal carry
        carry, losses = jax.block_until_ready(train(carry, xs, ys))
        return losses

    return run
