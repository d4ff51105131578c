"""JAX: a scan over all steps in one jit, the recurrence with its own backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from tasks.task import Tree
from tests.reference_loops.lstm.jax_loop import BETA1, BETA2, CLIP, EPS, LR


@jax.custom_vjp
def recurrence(xs: jax.Array, w: jax.Array, h0: jax.Array) -> jax.Array:
    hs: jax.Array = ahead(xs, w, h0)[0]
    return hs


def ahead(xs: jax.Array, w: jax.Array, h0: jax.Array) -> Any:
    def cell(h: jax.Array, x: jax.Array) -> Any:
        h = jnp.tanh(x + h @ w)
        return h, h

    _, hs = jax.lax.scan(cell, h0, xs)
    return hs, (hs, h0, w)


def back(kept: Any, cotangent: jax.Array) -> Any:
    hs, h0, w = kept
    wt, before = w.T, jnp.concatenate([h0[None], hs[:-1]])

    def cell(dh: jax.Array, inputs: Any) -> Any:
        d, h = inputs
        da = (dh + d) * (1 - h * h)
        return da @ wt, da

    dh, da = jax.lax.scan(cell, jnp.zeros_like(h0), (cotangent, hs), reverse=True)
    return da, before.reshape(-1, 256).T @ da.reshape(-1, 256), dh


recurrence.defvjp(ahead, back)


def loss(weights: Any, x: jax.Array, y: jax.Array, h: jax.Array) -> Any:
    e, wx, wh, b, wo, bo = weights
    hs = recurrence((e @ wx + b)[x], wh, h)
    log_p = jax.nn.log_softmax(hs.reshape(-1, 256) @ wo + bo)
    return -log_p[jnp.arange(y.size), y].mean(), hs[-1]


def step(carry: Any, batch: Any) -> Any:
    weights, m, v, t, h = carry
    t = t + 1
    (value, h), gradients = jax.value_and_grad(loss, has_aux=True)(weights, *batch, h)
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in gradients))
    gradients = [g * jnp.minimum(1.0, CLIP / norm) for g in gradients]
    m = [BETA1 * m + (1 - BETA1) * g for m, g in zip(m, gradients, strict=True)]
    v = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(v, gradients, strict=True)]
    root = jnp.sqrt(1 - BETA2**t)
    rate = LR * root / (1 - BETA1**t)
    weights = [
        w - rate * m / (jnp.sqrt(v) + EPS * root) for w, m, v in zip(weights, m, v, strict=True)
    ]
    return (weights, m, v, t, h), value


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    weights = [jnp.array(a) for a in params.values()]
    m, v = ([jnp.zeros_like(w) for w in weights] for _ in range(2))
    zero = jnp.zeros((chunk["inputs"].shape[1], 256))
    carry: Any = (weights, m, v, jnp.float32(0))
    xs = jnp.array(chunk["inputs"].transpose(0, 2, 1))
    ys = jnp.array(chunk["targets"].transpose(0, 2, 1).reshape(len(xs), -1))

    def scan(carry: Any, xs: jax.Array, ys: jax.Array) -> Any:
        (*carry, _), losses = jax.lax.scan(step, (*carry, zero), (xs, ys))
        return carry, losses

    train = jax.jit(scan, donate_argnums=0)

    def run() -> object:
        nonlocal carry
        carry, losses = jax.block_until_ready(train(carry, xs, ys))
        return losses

    return run
